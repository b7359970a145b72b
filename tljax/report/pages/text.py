"""Names of others as text in a page: no markup, and no character that moves or hides what stands beside it."""

import html
import unicodedata

HIDDEN = ("Cc", "Cf", "Zl", "Zp")  # controls, marks that turn the direction or join, separators of lines
KEPT = "\n\t"


def escape(text: str) -> str:
    """As HTML, in an element or an attribute; what cannot be seen is shown as \\u202e."""
    return html.escape(visible(text))


def visible(text: str) -> str:
    """The text with what cannot be seen written out."""
    return "".join(c if c in KEPT or unicodedata.category(c) not in HIDDEN else _written(c) for c in text)


def _written(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
