"""Make a stage ready: its module, parameters and inputs; or, ahead of it, their shapes."""

# pyright: strict
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import jax

from tljax.config import Stage
from tljax.data.preprocess import Prepare
from tljax.errors import InputError
from tljax.inputs import views
from tljax.machine import in_turn
from tljax.models import build
from tljax.models.build import Network
from tljax.optim import low_rank
from tljax.train import frozen as frozen_lib
from tljax.train.ready import Ready
from tljax.train.rung import Trained
from tljax.train.source import Source
from tljax.train.step import Variables, averaged
from tljax.tree import flatten
from tljax.weights import Weights, merge


def prepare(
    stage: Stage,
    network: Network,
    source: Source,
    *,
    seed: int,
    before: Trained | None = None,
    carry: bool = False,
    ahead: Sequence[Stage] = (),
) -> Ready:
    """Make module, parameters and inputs of a stage.

    The base is `before`'s if there is one (with its head), else that of the source, else random.
    With `carry`, the stage continues with the optimizer state of `before`. `ahead` are the stages
    to come: activations that they need are kept on the way.
    """
    began = time.perf_counter()
    sets, dtype = source.sets, source.dtype
    network, variables, preprocess = _start(network, source, seed=seed, before=before)
    frozen = frozen_lib.still_layers(variables["params"], stage)
    module = build.classifier(
        network, task=sets.task, classes=len(sets.classes), frozen=frozen, dtype=dtype
    )
    stage, explanation = views.settled(stage, network, sets, dtype=dtype)
    if explanation and source.progress:
        print(explanation, flush=True)
    read = views.reading(
        stage,
        network,
        module,
        variables,
        sets,
        preprocess=preprocess,
        store=source.store,
        ahead=[views.settled(later, network, sets, dtype=dtype)[0] for later in ahead],
        progress=source.progress,
    )
    base = source.base_of(network)
    return Ready(
        module,
        _with_factors(variables, stage, network, seed=seed),
        read,
        network,
        preprocess,
        seconds=time.perf_counter() - began,
        carried=before.state.opt_state if carry and before else None,
        anchor=flatten({"base": base.params}) if base and stage.optimizer.anchor else None,
    )


def outline(stage: Stage, network: Network, source: Source) -> Ready:
    """Make a stage ready in outline, from shapes alone; nothing is computed.

    `variables` are shapes, cached views zeros that take no memory.
    """
    network = source.network_on_base(network)
    sets, dtype, preprocess = source.sets, source.dtype, source.preprocess_of(network)
    fresh = build.classifier(network, task=sets.task, classes=len(sets.classes), dtype=dtype)
    variables = jax.eval_shape(fresh.init, jax.random.key(0), sets.spec)
    frozen = frozen_lib.still_layers(variables["params"], stage)
    module = build.classifier(
        network, task=sets.task, classes=len(sets.classes), frozen=frozen, dtype=dtype
    )
    stage, _ = views.settled(stage, network, sets, dtype=dtype)
    read = views.promised(stage, network, module, variables, sets, preprocess=preprocess)
    drawn = partial(_with_factors, stage=stage, network=network, seed=0)
    variables = jax.eval_shape(drawn, variables)
    return Ready(module, variables, read, network, preprocess)


def _start(
    network: Network, source: Source, *, seed: int, before: Trained | None
) -> tuple[Network, Variables, Prepare]:
    """Return the network as its base has it, its first variables and what comes before it."""
    if before is not None:
        like = before.network
        network = replace(
            network.on(like.base, like.options), feature_norm=like.feature_norm, layers=like.layers
        )
        variables = {"params": averaged(before.state), **before.state.model_state}
        return network, variables, before.preprocess
    base, network = source.base_of(network), source.network_on_base(network)
    sets = source.sets
    module = build.classifier(
        network, task=sets.task, classes=len(sets.classes), dtype=source.dtype
    )
    with in_turn.turn():
        variables = build.init_like(module, key=jax.random.key(seed), like=sets.spec)
    return network, with_base(variables, base), source.preprocess_of(network)


def _with_factors(variables: Variables, stage: Stage, network: Network, *, seed: int) -> Variables:
    """Return the variables with factors of the low-rank updates that the stage's rules train."""
    params = low_rank.with_factors(variables["params"], stage.rules, key=jax.random.key(seed))
    if params is not variables["params"] and not network.architecture.pretrained:
        raise InputError(
            f"stage {stage.name!r}: low-rank updates need a pretrained base; "
            f"{network.base} is trained from scratch"
        )
    return {**variables, "params": params}


def with_base(variables: Variables, base: Weights | None) -> Variables:
    """Return the variables with the pretrained base in them, if there is one."""
    if base is None:
        return variables
    taken = base.variables
    if taken.keys() != build.base_variables(variables).keys():
        raise InputError(
            f"{base.source or 'weights'}: expected {' and '.join(build.base_variables(variables))} "
            f"of {base.architecture.get('name')}, found {' and '.join(taken)}"
        )
    return {
        kind: {**tree, "base": merge(taken[kind], tree["base"], source=base.source)}
        for kind, tree in variables.items()
    }
