"""A small file: what a trained classifier differs in from the pretrained base that it began with.

It has the head, the leaves of the base that moved, and in place of a kernel with a low-rank update
its factors. The base is a file of its own, and read again beside it.
"""

# pyright: strict
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tljax.data.preprocess import from_dict
from tljax.errors import InputError
from tljax.files import disk
from tljax.files.home import at_home
from tljax.models import build
from tljax.optim.low_rank import updated
from tljax.runs.saved_network import described, refuse_other
from tljax.train.frozen import same_bits
from tljax.train.history import History
from tljax.train.outcome.trained import Trained
from tljax.train.step import State, averaged
from tljax.tree import Flat, flatten, kind, nest
from tljax.weights import Weights, tensors

FORMAT = "difference 1"
PARAMS, UPDATES = "params/", "low_rank/"  # begin the names in the file
SIDES = ("down", "up")
FIELDS = {"base": str, "meta": dict, "rung": str, "trainable_params": int, "record": dict}
RECORD = ("epoch", "step", "train", "validation")


def save_difference(trained: Trained, path: str | Path, base: Weights) -> Path:
    """Write what a classifier differs in from its pretrained base, whole or not at all.

    A leaf of the base that has its bits is left out; a kernel that is the base's and an update has
    the factors of that; any other is written as it is. `load_difference` reads the file. InputError
    for a base of another network.
    """
    path, found = at_home(path), _leaves(trained)
    if not trained.history.epochs:
        raise InputError(f"{path}: {trained.rung} was restored from a checkpoint: use load_run")
    start, factors = _base_leaves(base), flatten(jax.device_get(trained.state.factors))
    own = {name: leaf for name, leaf in found.items() if name.split("/")[1] == "base"}
    if own.keys() != start.keys() or any(own[name].shape != start[name].shape for name in own):
        about, network = base.architecture.get("name"), trained.network.base
        raise InputError(
            f"{path}: expected the base that {trained.rung} began with, of {network}, "
            f"found another, of {about}"
        )
    flat = {name: leaf for name, leaf in found.items() if name not in own}
    for name, leaf in own.items():
        kernel = name.removeprefix(PARAMS)
        pair = {side: factors[f"{kernel}/{side}"] for side in SIDES if f"{kernel}/up" in factors}
        if same_bits(start[name], leaf):
            continue
        if pair and same_bits(updated(start[name], **pair), leaf):
            flat |= {f"{UPDATES}{kernel}/{side}": factor for side, factor in pair.items()}
        else:
            flat[name] = leaf
    document = {
        "format": FORMAT,
        "base": base.digest,
        "meta": trained.meta(),
        "rung": trained.rung,
        "trainable_params": trained.trainable_params,
        "record": disk.finite(trained.history.result()),
    }
    tensors.write(path, flat, document)
    return path


def load_difference(path: str | Path, base: Weights) -> Trained:
    """Load a classifier from a file of `save_difference` and the base that it began with.

    It has the bits of the one that was saved, and of its history the last epoch. InputError for
    another base, and for a file that is damaged or another.
    """
    path = at_home(path)
    flat, document = tensors.read(path, form=FORMAT, fields=FIELDS)
    if document["base"] != base.digest:
        raise InputError(
            f"{path}: made from the base {document['base'][:12]}, found {base.digest[:12]} "
            f"({base.source or 'made in memory'})"
        )
    saved = described(document["meta"], where=path)
    variables = nest(path, _whole(path, flat, _base_leaves(base)))
    if "params" not in variables:
        raise InputError(f"{path}: expected parameters, found {', '.join(variables)}")
    record = document["record"]
    if missing := [name for name in RECORD if name not in record]:
        raise InputError(f"{path}: record: expected {missing[0]}, found {', '.join(record)}")
    module = build.classifier(saved.network, task=saved.task, classes=len(saved.classes))
    refuse_other(variables, module, like=saved.spec, where=path)
    try:
        preprocess = from_dict(document["meta"]["preprocess"])
    except InputError as error:
        raise InputError(f"{path}: meta: {error}") from None
    params: Any = variables.pop("params")
    factors = {n.removeprefix(UPDATES): x for n, x in flat.items() if n.startswith(UPDATES)}
    seed, stage = document["meta"].get("seed"), document["meta"].get("stage")
    return Trained(
        State(jnp.int32(record["step"]), params, variables, {}, factors=nest(path, factors)),
        History([record], task=saved.task),
        saved.network,
        preprocess,
        document["trainable_params"],
        sum(leaf.size for leaf in flatten(params).values()),
        classes=saved.classes,
        size=saved.size,
        rung=document["rung"],
        seed=seed if isinstance(seed, int) else 0,
        stage=stage if isinstance(stage, dict) else {},
        data=str(document["meta"].get("data", "")),
        task=saved.task,
    )


def _whole(path: Path, flat: Flat, leaves: Flat) -> Flat:
    """Return the leaves of the base as a file changes them, and those that it adds."""
    whole = {**leaves, **{name: x for name, x in flat.items() if not name.startswith(UPDATES)}}
    for kernel in {name.rpartition("/")[0] for name in flat if name.startswith(UPDATES)}:
        name = f"{PARAMS}{kernel.removeprefix(UPDATES)}"
        down, up = (flat.get(f"{kernel}/{side}") for side in SIDES)
        if down is None or up is None or name not in leaves:
            raise InputError(f"{path}: {kernel}: expected factors of a kernel of the base")
        inputs, outputs = leaves[name].size // leaves[name].shape[-1], leaves[name].shape[-1]
        if down.shape != (inputs, len(up)) or up.shape != (len(up), outputs):
            raise InputError(
                f"{path}: {kernel}: expected factors of {kind(leaves[name])}, "
                f"found {kind(down)} and {kind(up)}"
            )
        whole[name] = updated(leaves[name], down, up)
    return whole


def _leaves(trained: Trained) -> Flat:
    state = jax.device_get(trained.state.replace(opt_state=None))
    return flatten({"params": averaged(state), **state.model_state})


def _base_leaves(base: Weights) -> Flat:
    """Return the leaves of a base as a classifier has them: `params/base/...`, in float32."""
    flat = flatten({name: {"base": tree} for name, tree in base.variables.items()})
    return {name: np.asarray(leaf, np.float32) for name, leaf in flat.items()}
