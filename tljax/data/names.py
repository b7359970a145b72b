"""Names of classes as a person reads them: written alike they are one class, or are refused."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tljax.errors import InputError

SHOWN = 5  # names in a message


def read(name: str) -> str:
    """Return a name as it is read: composed Unicode (NFC), single spaces, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def alike(name: str) -> str:
    """Return what two names that a person takes for the same have in common.

    Case and invisible characters do not count. A single letter is its own name: "A" and "a" may
    well be two classes.
    """
    seen = "".join(c for c in read(name) if unicodedata.category(c) != "Cf")
    return seen if len(seen) == 1 else unicodedata.normalize("NFC", seen.casefold())


def check(where: str, classes: Sequence[str], *, least: int = 2) -> None:
    """Check that there are enough names, all different to a reader; InputError otherwise."""
    if len(classes) < least:
        found, expected = ", ".join(classes) or "none", "two" if least == 2 else "one"
        raise InputError(f"{where}: expected {expected} or more classes, found {found}")
    first: dict[str, int] = {}
    for place, name in enumerate(classes):
        at = first.setdefault(alike(name), place)
        if at != place:
            other = classes[at]
            pair = f"{_quoted(other)} and {_quoted(name)}" if other != name else f"{name!r} twice"
            raise InputError(f"{where}: expected classes that read differently, found {pair}")


def refuse_unseen(
    where: str,
    classes: Sequence[str],
    present: Mapping[str, np.ndarray],
    *,
    what: str = "photographs",
) -> None:
    """Refuse classes without a training example, naming them and the splits that have them.

    `present` counts the examples of each class `[classes]` in each split; where it has none, labels
    are of no class.
    """
    if not present:
        return
    unseen = [i for i in range(len(classes)) if not present["train"][i]]
    if not unseen:
        return
    others = [split for split in present if any(present[split][i] for i in unseen)]
    only = f", only for {' and '.join(others)}" if others else ""
    known = {alike(name): name for i, name in enumerate(classes) if present["train"][i]}
    pairs = [(classes[i], known[alike(classes[i])]) for i in unseen if alike(classes[i]) in known]
    hint = f" (training has {shown(name for _, name in pairs)}: rename one)" if pairs else ""
    raise InputError(
        f"{where}: expected training {what} of every class, "
        f"found none of {shown(classes[i] for i in unseen)}{only}{hint}"
    )


def shown(names: Iterable[str]) -> str:
    """List a few names, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more


def told(label: np.ndarray, classes: Sequence[str]) -> tuple[str, ...]:
    """Say what an example's label tells: its class, all of several that it has, or its numbers."""
    if not label.ndim:
        return (classes[int(label)],)
    if label.dtype.kind == "f":
        return tuple(f"{value:.4g}" for value in label)
    return tuple(classes[int(i)] for i in np.flatnonzero(label)) or ("none",)


def numbers_hint(where: str, classes: Sequence[str]) -> str:
    """Say how whole numbers in a table are learnt as numbers; empty for other names of classes."""
    numbers = where.startswith("csv:") and len(classes) > 2 and all(map(str.isdecimal, classes))
    return " (--task regression takes them as numbers)" if numbers else ""


def _quoted(name: str) -> str:
    """Quote a name with its invisible and composed characters written out."""
    return ascii(name) if any(unicodedata.category(c) == "Cf" for c in name) else repr(name)
