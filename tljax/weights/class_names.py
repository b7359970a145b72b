"""Names for the classes of weights whose file has numbers alone."""

# pyright: strict

import json
from pathlib import Path
from typing import Any, cast

from tljax.errors import InputError


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read the names of classes in their order.

    A text file has a name a line; a JSON file a list of names, or Keras's
    `imagenet_class_index.json`: from the number to `[id, name]`. InputError for any other.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise InputError(f"{path}: expected names of classes: {reason}") from None
    if path.suffix.lower() != ".json":
        names = [line.strip() for line in text.splitlines()]
    else:
        names = _listed(path, text)
    if not all(names):
        raise InputError(
            f"{path}: expected a name for each class, found none for {names.index('')}"
        )
    return tuple(names)


def _listed(path: Path, text: str) -> list[str]:
    """Take names out of JSON."""
    expected = f'{path}: expected a list of names, or {{"0": [id, name], ...}}'
    try:
        read: Any = json.loads(text)
    except ValueError as error:
        raise InputError(f"{expected}: {error}") from None
    names: Any = read
    if isinstance(read, dict):
        entries = cast(dict[str, Any], read)
        missing = next((i for i in range(len(entries)) if str(i) not in entries), None)
        if missing is not None:
            raise InputError(f"{expected}, found {len(entries)} entries and no {missing}")
        names = [_last(entries[str(i)]) for i in range(len(entries))]
    if not isinstance(names, list) or not all(
        isinstance(name, str) for name in cast(list[Any], names)
    ):
        raise InputError(f"{expected}, found another shape")
    return [name.strip() for name in cast(list[str], names)]


def _last(entry: Any) -> Any:
    """Return the name of `[id, name]`; another entry as it is."""
    pair = cast(list[Any], entry) if isinstance(entry, list) else [entry]
    return pair[-1] if pair else ""
