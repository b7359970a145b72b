"""The exception for mistakes that a user can correct."""


class InputError(ValueError):
    """Bad input.

    The message is one line: what is wrong, where, what was expected and what was found. Commands
    print it without a traceback and exit with status 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """Escape newlines and direction marks, which a file's name may hold."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )
