"""Names as safe text in a page: no markup, and no character that moves or hides its neighbours."""

import html
import unicodedata

HIDDEN = (
    "Cc",
    "Cf",
    "Zl",
    "Zp",
)  # controls, marks that turn the direction or join, separators of lines
KEPT = "\n\t"


def escape(text: str) -> str:
    r"""Escape text for an HTML element or attribute; invisible characters are shown as \u202e."""
    return html.escape(visible(text))


def visible(text: str) -> str:
    """Write out the characters that cannot be seen."""
    return "".join(
        c if c in KEPT or unicodedata.category(c) not in HIDDEN else _written(c) for c in text
    )


def _written(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def words(command: str) -> str:
    """Mark the words of a command, so that a line ends between two and not after a hyphen."""
    return " ".join(f"<span>{escape(word)}</span>" for word in command.split(" "))
