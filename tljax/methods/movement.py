"""How far each layer of a base is from where it started."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false

import math
from collections.abc import Iterable

import numpy as np

from tljax.errors import InputError
from tljax.tree import Params, Tree, flatten


def moved(params: Params, start: Tree, *, order: Iterable[str] = ()) -> dict[str, float]:
    """Measure the distance of each module from its start, relative to the start's norm.

    Frobenius norms over all leaves of a top-level module; both are trees of the same base. Modules
    come in this order, those that it leaves out last. A module that starts at zero has NaN once it
    has moved. InputError for other leaves.
    """
    now, before = flatten(params), flatten(start)
    if now.keys() != before.keys():
        other = sorted(now.keys() ^ before.keys())[0]
        raise InputError(f"movement: expected the leaves of the start, found another: {other}")
    apart: dict[str, float] = {}
    norm: dict[str, float] = {}
    for path in before:
        module = path.split("/")[0]
        a, b = np.asarray(now[path], np.float64), np.asarray(before[path], np.float64)
        apart[module] = apart.get(module, 0.0) + float(((a - b) ** 2).sum())
        norm[module] = norm.get(module, 0.0) + float((b**2).sum())
    modules = dict.fromkeys([m for m in order if m in apart] + list(apart))
    return {m: _ratio(math.sqrt(apart[m]), math.sqrt(norm[m])) for m in modules}


def _ratio(distance: float, norm: float) -> float:
    return distance / norm if norm else math.nan if distance else 0.0
