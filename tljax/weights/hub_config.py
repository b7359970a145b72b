"""timm's `config.json` beside a file of weights: how photographs reach the network."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from tljax.data.preprocess import Preprocess
from tljax.errors import InputError
from tljax.tree import Json

_KEPT = ("architecture", "tag", "license", "num_classes", "crop_pct", "interpolation")


@dataclass(frozen=True)
class HubConfig:
    """What a `config.json` says of the weights beside it."""

    preprocess: Preprocess
    size: int  # pixels of a side of the photographs it was trained on
    classes: tuple[str, ...]  # of its top; timm leaves those of ImageNet out
    about: Json  # architecture, licence, number of classes, crop and interpolation, for provenance


def read(text: bytes, where: str) -> HubConfig:
    """Read the text of a `config.json`; `where` names it in messages.

    The settings are in `pretrained_cfg`, or in older files beside `architecture`. InputError names
    the field that is missing or wrong.
    """
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{where}: expected JSON, found {text[:40]!r}") from None
    outer = _mapping(document)
    settings = _mapping(outer.get("pretrained_cfg", outer))
    missing = [key for key in ("mean", "std", "input_size") if key not in settings]
    if missing:
        raise InputError(
            f"{where}: expected timm's pretrained_cfg with mean, std and input_size, "
            f"found no {missing[0]} among {', '.join(sorted(settings)) or 'no fields'}"
        )
    fields = {"channels": "RGB", "scale": 1 / 255, "mean": settings["mean"], "std": settings["std"]}
    try:
        preprocess = Preprocess.from_dict(fields)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    whole = {**settings, **outer}  # what is outside counts, as for timm
    classes = _classes(whole.get("label_names") or whole.get("labels") or [], where)
    outputs = whole.get("num_classes", len(classes))
    if classes and len(classes) != outputs:
        raise InputError(f"{where}: label_names: expected {outputs} names, found {len(classes)}")
    return HubConfig(
        preprocess,
        _side(settings["input_size"], where),
        classes,
        {key: whole[key] for key in _KEPT if isinstance(whole.get(key), str | int | float)},
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _side(shape: Any, where: str) -> int:
    """Return the side of `[3, side, side]`."""
    whole = isinstance(shape, list) and all(type(side) is int and side > 0 for side in shape)
    if not whole or len(shape) != 3 or shape[0] != 3 or shape[1] != shape[2]:
        raise InputError(f"{where}: input_size: expected [3, side, side], found {shape!r}")
    return shape[1]


def _classes(names: Any, where: str) -> tuple[str, ...]:
    """Return the names of the classes in order: of a list, or of an object by number."""
    if isinstance(names, dict):
        try:
            names = [names[key] for key in sorted(names, key=int)]
        except ValueError:
            raise InputError(
                f"{where}: label_names: expected numbers as keys, found {next(iter(names))!r}"
            ) from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{where}: label_names: expected texts, found {f'{names!r}'[:60]}")
    return tuple(names)
