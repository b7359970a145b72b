"""Activations of a frozen prefix on whole splits, read from disk where kept, otherwise computed.

One view of one split at one layer is a unit with a file of its own, so that another view, layer or
split adds a file and copies nothing. A unit is `LAYER-DATA-BASE/SPLIT-viewK-KEY.h5` in the first
folder that has it; KEY digests `Prefix.identity`, dtype and shape.
"""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from tljax import waiting
from tljax.data.cache import default_folder as cache_folder
from tljax.data.examples import Part, Sets
from tljax.files.disk import Unwritable
from tljax.inputs import feature_store
from tljax.inputs.prefix import Prefix
from tljax.machine import in_turn
from tljax.models import ops
from tljax.tree import Variables, json_digest

Store = Path | Sequence[Path]  # folders: searched in order, written in the first that allows it


def default_folder() -> Path:
    """Return `$XDG_CACHE_HOME/tljax/features`, or `~/.cache/tljax/features`.

    It is shared by all runs, with any folders and seeds.
    """
    return cache_folder() / "features"


class Activations:
    """Reads or computes units.

    `passing` lists earlier layers, with views, that later stages need: they are computed on the
    way. A kept unit of an earlier layer is the starting point where that gives the same bits.
    """

    def __init__(
        self,
        sets: Sets,
        prefix: Prefix,
        store: Store,
        *,
        passing: Sequence[tuple[str, int]],
        progress: bool,
    ) -> None:
        self._sets, self._prefix, self._progress = sets, prefix, progress
        self._folders = [store] if isinstance(store, Path) else [Path(folder) for folder in store]
        self._passing = [(layer, views) for layer, views in passing if prefix.exact_at(layer)]
        self._programs: dict[Any, Callable[..., Any]] = {}
        self._refused: set[Path] = set()
        self.files: list[Path] = []  # of the units that were asked for
        self.made: set[tuple[str, int, str]] = set()  # split, view, layer; with those on the way

    def __str__(self) -> str:
        """Say what was computed, and where it is kept."""
        layers = " and ".join(sorted({layer for _, _, layer in self.made}))
        where = f"kept in {self.files[0].parent}" if self.files else "not kept"
        return f"examples through {layers}, {where}"

    def split(self, name: str) -> np.ndarray:
        """Return a split's activations `[views * N, h, w, c]`, row `view * N + example`.

        Splits other than train have one view.
        """
        views, count = self._prefix.views if name == "train" else 1, len(self._images(name).labels)
        row = self._prefix.row(self._sets)
        rows = np.empty((views * count, *row.shape), row.dtype)
        what = f"base: {name} to {self._prefix.stop}"
        with waiting.bar(len(rows), what, unit="views", shown=self._progress) as self._bar:
            for view in range(views):
                unit, file = self._unit(name, view, self._prefix.stop)
                rows[view * count : (view + 1) * count] = unit
                self.files += [file] if file else []
                self._bar.update((view + 1) * count - self._bar.n)
        return rows

    def _unit(self, split: str, view: int, stop: str) -> tuple[np.ndarray, Path | None]:
        """Return one view of a split at a layer, and its file; None if no file could be written."""
        name = self._name(split, view, stop)
        target = self._rows(split, view, stop)
        for folder in self._folders:
            if (rows := feature_store.found(folder / name, target)) is not None:
                return rows, folder / name
        compute, block = self._compute(split, view, stop), self._prefix.block(split)
        for folder in self._folders:
            if folder not in self._refused:
                try:
                    rows = feature_store.stored(folder / name, target, compute=compute, block=block)
                    return rows, folder / name
                except Unwritable as error:
                    self._refused.add(folder)
                    waiting.say(f"{error}; features go elsewhere")
        return feature_store.computed(target, compute=compute, block=block), None

    def _compute(self, split: str, view: int, stop: str) -> Callable[[int, int], np.ndarray]:
        start, inputs = self._before(split, view, stop)
        augment = self._prefix.augment if split == "train" else None
        key = (augment is None, start, stop)
        if key not in self._programs:
            self._programs[key] = in_turn.of(
                ops.jit(self._prefix.program(augment=augment, start=start, stop=stop))
            )
        program, block = self._programs[key], self._prefix.block(split)
        variables = self._variables

        def compute(first: int, last: int) -> np.ndarray:
            self.made.add((split, view, stop))
            # Always a whole block, the last one padded with its own first rows: one shape, one
            # compilation.
            example = (first + np.arange(block) % (last - first)).astype(np.int32)
            rows = program(variables, inputs[example], np.full(block, view, np.int32), example)
            self._bar.update(last - first if stop == self._prefix.stop else 0)
            return np.asarray(rows)[: last - first]

        return compute

    def _before(self, split: str, view: int, stop: str) -> tuple[str | None, np.ndarray]:
        """Find the unit's inputs: the last earlier layer needed or kept, otherwise the images."""
        needed = {layer for layer, views in self._passing if split != "train" or view < views}
        cuts = self._prefix.architecture.between(stop=stop)[:-1]
        for layer in reversed([cut.name for cut in cuts]):
            if not self._prefix.exact_at(layer):
                continue
            name = self._name(split, view, layer)
            if layer in needed or any((folder / name).exists() for folder in self._folders):
                return layer, self._unit(split, view, layer)[0]
        return None, self._images(split).inputs

    def _name(self, split: str, view: int, stop: str) -> Path:
        identity = self._prefix.identity(self._sets, split=split, view=view, stop=stop)
        row = self._prefix.row(self._sets, stop=stop)
        key = json_digest({**identity, "kept": row.dtype.name, "row": list(row.shape)})
        which = f"{split}-view{view}" if identity["augment"] else split
        data, weights = identity["data"][:8], identity["weights"][:8]
        return Path(f"{stop}-{data}-{weights}", f"{which}-{key[:16]}.h5")

    def _rows(self, split: str, view: int, stop: str) -> feature_store.Rows:
        row, count = self._prefix.row(self._sets, stop=stop), len(self._images(split).labels)
        identity = self._prefix.identity(self._sets, split=split, view=view, stop=stop)
        return feature_store.Rows(split, identity, count, row.shape, row.dtype.name)

    @functools.cached_property
    def _variables(self) -> Variables:
        """Copy the variables, once, to a device of this process.

        A process runs the prefix by itself.
        """
        return jax.device_put(jax.device_get(self._prefix.variables), jax.local_devices()[0])

    def _images(self, split: str) -> Part:
        return getattr(self._sets, split)
