"""A trained run put to use: photographs -> probabilities."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tljax.data import photos
from tljax.data.preprocess import Preprocess
from tljax.errors import InputError
from tljax.files import orbax_store
from tljax.inside.net import Net
from tljax.models import build, ops
from tljax.runs.results import read_results
from tljax.runs.saved_network import described, refuse_other

BATCH = 32


@dataclass(frozen=True)
class Trained:
    """A classifier as a run left it. `probabilities` takes uint8 `[N, size, size, 3]`, gives float32 `[N, classes]`."""

    rung: str
    seed: int
    classes: tuple[str, ...]
    size: int
    probabilities: Callable[[np.ndarray], np.ndarray]

    def __call__(self, paths: Sequence[str | Path]) -> np.ndarray:
        """Probabilities `[N, classes]` float32 of image files; InputError names one that cannot be read."""
        images = read_photos(paths, size=self.size)
        return self.probabilities(images) if len(images) else np.zeros((0, len(self.classes)), np.float32)


def load_run(run: str | Path, *, rung: str | None = None, seed: int | None = None) -> Trained:
    """The classifier of a run: of the rung and seed asked for, else the one with the highest validation accuracy.

    InputError where there is none, or its files are damaged.
    """
    net = load_net(run, rung=rung, seed=seed)
    predict = _in_batches(ops.jit(_program(net.module, net.preprocess)), net.params)
    return Trained(net.rung, net.seed, net.classes, net.size, predict)


def load_net(run: str | Path, *, rung: str | None = None, seed: int | None = None) -> Net:
    """The network itself, to be looked into; chosen as by `load_run`."""
    run = Path(run)
    rows = [
        row
        for row in read_results(run / "results.json")["rungs"]
        if rung in (None, row["name"]) and seed in (None, row["seed"])
    ]
    if not rows:
        asked = ", ".join(f"{name} {value}" for name, value in (("rung", rung), ("seed", seed)) if value is not None)
        raise InputError(f"{run}: expected a finished {asked or 'rung'}, found none in results.json")
    best = max(rows, key=lambda row: row["validation"]["accuracy"])
    name = f"{best['name']}-seed{best['seed']}"
    if "\0" in name or Path(name).name != name:
        raise InputError(f"{run}: expected the name of a rung in results.json, found {name[:80]!r}")
    folder = run / "checkpoints" / name
    step = orbax_store.best_step(folder)
    if step is None:
        raise InputError(f"{folder}: expected the checkpoint of a finished rung, found none")
    params, meta = orbax_store.restore_params(folder, step)
    network, about = described(meta, where=folder)
    try:
        preprocess = Preprocess.from_dict(meta["preprocess"])
    except InputError as error:
        raise InputError(f"{folder}: meta: {error}") from None
    module = build.classifier(network, classes=len(about["classes"]))
    refuse_other(params, module, size=about["size"], where=folder)
    return Net(module, params, preprocess, rung=best["name"], seed=best["seed"], **about)


def _program(module: Any, preprocess: Preprocess) -> Callable[..., jax.Array]:
    def program(params: dict[str, Any], images: jax.Array) -> jax.Array:
        logits, _ = module.apply({"params": params}, preprocess(images))
        if logits.shape[-1] == 1:
            return jnp.concatenate([jax.nn.sigmoid(-logits), jax.nn.sigmoid(logits)], -1)
        return jax.nn.softmax(logits)

    return program


def _in_batches(program: Callable[..., jax.Array], params: dict[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """Whole batches, the last one padded with zeros: one compilation, however many images."""

    def predict(images: np.ndarray) -> np.ndarray:
        padded = np.zeros((-len(images) % BATCH + len(images), *images.shape[1:]), images.dtype)
        padded[: len(images)] = images
        parts = [np.asarray(program(params, padded[at : at + BATCH])) for at in range(0, len(padded), BATCH)]
        return np.concatenate(parts)[: len(images)]

    return predict


def read_photos(paths: Sequence[str | Path], *, size: int) -> np.ndarray:
    """Image files as uint8 `[N, size, size, 3]`; InputError names one that cannot be read."""
    images = [_decoded(Path(path), size=size) for path in paths]
    return np.stack(images) if images else np.zeros((0, size, size, 3), np.uint8)


def _decoded(path: Path, *, size: int) -> np.ndarray:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: expected a readable photograph: {error.strerror}") from None
    return photos.decode(data, size=size, name=str(path))
