"""The activations of a frozen prefix on whole splits: found where they are kept, else made and kept.

A view of a split at a layer is a unit, a file of its own, so that another view, layer or split adds a file and copies
nothing; `LAYER-DATA-BASE/SPLIT-viewK-KEY.h5` in the first folder that has it. The key is that of `Prefix.identity`.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from tljax.data import ImageSet, ImageSets
from tljax.data.cache import default_folder as cache_folder
from tljax.files.disk import Unwritable
from tljax.inputs import feature_store
from tljax.inputs.prefix import Prefix
from tljax.models import ops, vgg
from tljax.tree import json_digest

Store = Path | Sequence[Path]  # folders: looked for in each, kept in the first that can be written


def default_folder() -> Path:
    """`$XDG_CACHE_HOME/tljax/features`, or `~/.cache/tljax/features`: shared by runs, their folders and seeds."""
    return cache_folder() / "features"


class Activations:
    """Finds or makes units. `passing` are earlier layers, with views, that stages to come want: made on the way.

    What is kept of an earlier layer is gone on from, where that gives the same bits.
    """

    def __init__(
        self, sets: ImageSets, prefix: Prefix, store: Store, *, passing: Sequence[tuple[str, int]], progress: bool
    ) -> None:
        self._sets, self._prefix, self._progress = sets, prefix, progress
        self._folders = [store] if isinstance(store, Path) else [Path(folder) for folder in store]
        self._passing = [(layer, views) for layer, views in passing if prefix.exact_at(layer)]
        self._programs: dict[Any, Callable[..., Any]] = {}
        self._refused: set[Path] = set()
        self.files: list[Path] = []  # of what was asked for
        self.made: set[tuple[str, int, str]] = set()  # split, view, layer: with all that was made on the way

    def __str__(self) -> str:
        """How many views of splits were made, at any layer, how many are kept and where."""
        where = f"{len(self.files)} kept in {self.files[0].parent}" if self.files else "none kept"
        return f"{len(self.made)} made, {where}"

    def split(self, name: str) -> np.ndarray:
        """`[views * N, h, w, c]`, row `view * N + example`; one view of what is held out."""
        views, count = self._prefix.views if name == "train" else 1, len(self._images(name).labels)
        row = self._prefix.row(self._sets)
        rows = np.empty((views * count, *row.shape), row.dtype)
        for view in range(views):
            rows[view * count : (view + 1) * count], file = self._unit(name, view, self._prefix.stop)
            self.files += [file] if file else []
        return rows

    def _unit(self, split: str, view: int, stop: str) -> tuple[np.ndarray, Path | None]:
        """One view of a split at a layer, and the file that has it; None if none could be written."""
        name = self._name(split, view, stop)
        wanted = self._wanted(split, view, stop)
        for folder in self._folders:
            if (rows := feature_store.found(folder / name, **wanted)) is not None:
                return rows, folder / name
        made = {"compute": self._compute(split, view, stop), "block": self._prefix.block(split)}
        for folder in self._folders:
            if folder not in self._refused:
                try:
                    return feature_store.stored(folder / name, **wanted, **made, progress=self._progress), folder / name
                except Unwritable as error:
                    self._refused.add(folder)
                    print(f"{error}; features go elsewhere", flush=True)
        return feature_store.computed(**wanted, **made, progress=self._progress), None

    def _compute(self, split: str, view: int, stop: str) -> Callable[[int, int], np.ndarray]:
        start, given = self._before(split, view, stop)
        augment = self._prefix.augment if split == "train" else None
        key = (augment is None, start, stop)
        if key not in self._programs:
            self._programs[key] = ops.jit(self._prefix.program(augment=augment, start=start, stop=stop))
        program, block = self._programs[key], self._prefix.block(split)
        params = self._params

        def compute(first: int, last: int) -> np.ndarray:
            self.made.add((split, view, stop))
            # Always a whole block, the last one padded with its own first rows: one shape, one compilation.
            example = (first + np.arange(block) % (last - first)).astype(np.int32)
            found = program(params, given[example], np.full(block, view, np.int32), example)
            return np.asarray(found)[: last - first]

        return compute

    def _before(self, split: str, view: int, stop: str) -> tuple[str | None, np.ndarray]:
        """Find what the unit is made from: the last layer before that is wanted or kept, else the images."""
        wanted = {layer for layer, views in self._passing if split != "train" or view < views}
        for layer in reversed(vgg.LAYERS[: vgg.LAYERS.index(stop)]):
            if not self._prefix.exact_at(layer):
                continue
            name = self._name(split, view, layer)
            if layer in wanted or any((folder / name).exists() for folder in self._folders):
                return layer, self._unit(split, view, layer)[0]
        return None, self._images(split).images

    def _name(self, split: str, view: int, stop: str) -> Path:
        told = self._prefix.identity(self._sets, split=split, view=view, stop=stop)
        row = self._prefix.row(self._sets, stop=stop)
        key = json_digest({**told, "kept": row.dtype.name, "row": list(row.shape)})
        which = f"{split}-view{view}" if told["augment"] else split
        return Path(f"{stop}-{told['data'][:8]}-{told['weights'][:8]}", f"{which}-{key[:16]}.h5")

    def _wanted(self, split: str, view: int, stop: str) -> dict[str, Any]:
        row = self._prefix.row(self._sets, stop=stop)
        return {
            "name": split,
            "identity": self._prefix.identity(self._sets, split=split, view=view, stop=stop),
            "count": len(self._images(split).labels),
            "shape": row.shape,
            "dtype": row.dtype.name,
        }

    @functools.cached_property
    def _params(self) -> dict[str, Any]:
        """On a device of this process, which runs the prefix by itself; copied there once."""
        return jax.device_put(jax.device_get(self._prefix.params), jax.local_devices()[0])

    def _images(self, split: str) -> ImageSet:
        return getattr(self._sets, split)
