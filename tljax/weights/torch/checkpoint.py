"""The state dict of a base among what a training script saved, without the names around it."""

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tljax.errors import InputError
from tljax.tree import Json
from tljax.weights.contents import Contents, Leaf
from tljax.weights.torch.names import identified, is_vgg16, layout_of

LEAST = 20  # leaves of the smallest base
MEAN = re.compile(r"(^|[._])(ema|swa|teacher|averaged)([._]|$)")  # keys of averaged parameters


def chosen(
    path: Path, dicts: Mapping[str, Mapping[str, Leaf]], *, kind: str, about: Json | None = None
) -> Contents:
    """Choose the state dict that is of a base, and identify it.

    `dicts` are a file's, by key. Names around the base's (`module.`, `model.backbone.`) are taken
    off; what lies beside it is left out, and named in the contents. Averaged parameters are taken
    only where there are no others. InputError where several are left to choose from. Where none is
    of a base, the largest is identified, for its message.
    """
    fitting = {
        key: prefix for key, leaves in dicts.items() if (prefix := prefix_of(leaves)) is not None
    }
    plain = {key: prefix for key, prefix in fitting.items() if not MEAN.search(key)} or fitting
    if len(plain) > 1:
        raise InputError(
            f"{path}: expected the state dict of one base, found {len(plain)}: under "
            f"{', '.join(plain)}; save one of them alone"
        )
    key, prefix = next(iter(plain.items()), ("", ""))
    if not plain:
        key = max(dicts, key=lambda each: len(dicts[each]))
    return _without(prefix, dicts[key], kind=f"{kind} under {key}" if key else kind, about=about)


def prefix_of(leaves: Mapping[str, Leaf]) -> str | None:
    """Return what stands before the names of a base; "" for nothing, None where there is no base.

    The one with the most leaves behind it, where several would do.
    """
    counts: Counter[str] = Counter()
    for name in leaves:
        parts = name.split(".")
        counts.update(".".join(parts[:count]) + "." for count in range(1, len(parts)))
    outer = sorted((each for each in counts if counts[each] >= LEAST), key=lambda x: -counts[x])
    for prefix in ("", *outer):
        shapes = {
            name[len(prefix) :]: leaf.shape
            for name, leaf in leaves.items()
            if name.startswith(prefix)
        }
        if layout_of(shapes) or is_vgg16(shapes):
            return prefix
    return None


def _without(prefix: str, leaves: Mapping[str, Leaf], *, kind: str, about: Json | None) -> Contents:
    inside = {name[len(prefix) :]: leaf for name, leaf in leaves.items() if name.startswith(prefix)}
    before = f", names after {prefix}" if prefix else ""
    contents = identified(inside, kind=f"{kind}{before}", about=about)
    beside = [name for name in leaves if not name.startswith(prefix)]
    return dataclasses.replace(contents, left_out=(*sorted(beside), *contents.left_out))
