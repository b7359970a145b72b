"""The base of a finished run, as weights for another one."""

# pyright: strict

from pathlib import Path

import jax
import numpy as np

from tljax.errors import InputError
from tljax.files.home import at_home
from tljax.runs import results
from tljax.runs.predict import load_run
from tljax.train.outcome.trained import Trained
from tljax.train.step import averaged
from tljax.tree import Json
from tljax.weights import Weights, load


def load_base(name: str, *, progress: bool = True) -> Weights:
    """Load weights by a known name, from a file, or from a run's folder: see `of_run`."""
    found = of_run(name)
    if found is not None:
        return found
    return load(name if name.startswith("hf:") else at_home(name), progress=progress)


def of_run(name: str) -> Weights | None:
    """Load the base of a run's classifier; None where `name` names no folder of a run.

    RUN is the run's best in validation; RUN:RUNG and RUN:RUNG:SEED name another.
    """
    chosen = _run_in(name)
    if chosen is None:
        return None
    run, rung, seed = chosen
    return weights_of(load_run(run, rung=rung, seed=seed), run=run)


def weights_of(trained: Trained, *, run: Path | None = None) -> Weights:
    """Return the base of a trained classifier: parameters, statistics, preprocessing and size.

    Parameters are the averaged ones where there are any. InputError for a network that takes no
    pretrained base.
    """
    network, where = trained.network, str(run or trained.rung)
    if not network.architecture.pretrained:
        raise InputError(
            f"{where}: {trained.rung}: expected a base network, found {network.base}, which is "
            "for training from scratch"
        )
    params, statistics = jax.device_get(
        (averaged(trained.state)["base"], trained.state.model_state.get("batch_stats", {}))
    )
    about: Json = {
        "run": run.name if run else "",
        "rung": trained.rung,
        "seed": trained.seed,
        "size": trained.size,
        "data": trained.data,
        **{split: dict(scores) for split, scores in trained.scores.items()},
    }
    return Weights(
        jax.tree.map(np.asarray, params),
        {"name": network.base, **network.options},
        trained.preprocess,
        trained.classes,
        about,
        source=where,
        statistics=jax.tree.map(np.asarray, statistics.get("base", {})),
    )


def _run_in(name: str) -> tuple[Path, str | None, int | None] | None:
    """Read the folder, rung and seed that a name has; None where it names no run."""
    parts: list[str] = []
    while not (at_home(name) / results.FILE).is_file():
        name, colon, last = name.rpartition(":")
        parts.insert(0, last)
        if not colon or len(parts) > 2:
            return None
    rung, seed = (*parts, "", "")[:2]
    if seed and not seed.lstrip("-").isdigit():
        raise InputError(
            f"{name}:{':'.join(parts)}: expected RUN:RUNG:SEED, found the seed {seed!r}"
        )
    return at_home(name), rung or None, int(seed) if seed else None
