"""Data: photographs -> arrays.

Names are looked up when first used: the processes that draw critters want no JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tljax.data.arrays import from_arrays as from_arrays
    from tljax.data.label_columns import Labels as Labels
    from tljax.data.sources import ImageSet as ImageSet
    from tljax.data.sources import ImageSets as ImageSets
    from tljax.data.sources import Places as Places
    from tljax.data.sources import Tolerance as Tolerance
    from tljax.data.sources import load as load

_PLACES = {
    "ImageSet": "sources",
    "ImageSets": "sources",
    "Labels": "label_columns",
    "Places": "sources",
    "Tolerance": "sources",
    "from_arrays": "arrays",
    "load": "sources",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"tljax.data.{_PLACES[name]}"), name)
