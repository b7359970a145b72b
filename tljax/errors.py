"""The exception for mistakes that a user can correct."""


class InputError(ValueError):
    """Bad input.

    The message is one line: what is wrong, where, what was expected and what was found. Commands
    print it without a traceback and exit with status 2.
    """
