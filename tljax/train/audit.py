"""What the compiled step really trains and costs, against the least that what it trains can cost."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from tljax.errors import InputError
from tljax.optim import rules as rules_lib
from tljax.train import hlo, least
from tljax.train.dry import Dry

_METRICS = 8  # bytes of what a step reduces besides gradients: the loss and the number correct


@dataclass(frozen=True)
class Cost:
    """What was found in the compiled step, and the least it could be. NaN: the compiler does not say."""

    found: float
    least: float

    @property
    def ratio(self) -> float:
        """1 where nothing is wasted; also where nothing is needed and nothing was found."""
        return 1.0 if self.found == self.least else self.found / self.least if self.least else math.inf


@dataclass(frozen=True)
class Audit:
    """A stage's step on one of its devices.

    `flops` by the compiler's `cost_analysis`, everything elementwise included; `products` those of the `convolution`
    and `dot` instructions in the optimised program, counted here. Both against the same formula over layers, which has
    products alone. On CPU an image smaller than the kernel is convolved as a matrix product that multiplies its padding
    too; that is above the least. `temporary` from `memory_analysis`; `reduced` the results of all-reduces, and
    `exchanged` those of any other collective, from the program's text; `optimizer` from the state. `moved` names leaves
    that the rules freeze and the step does not hand through as they are, `idle` those they train and it does.
    """

    stage: str
    devices: int
    flops: Cost
    products: Cost
    temporary: Cost
    reduced: Cost
    exchanged: Cost
    optimizer: Cost
    frozen_leaves: int
    trainable_leaves: int
    moved: tuple[str, ...]
    idle: tuple[str, ...]


def audit(dry: Dry, over: Mesh) -> Audit:
    """Trace and compile the step once, from shapes; nothing is computed."""
    traced = dry.trace(over)
    # Fewer optimisations of machine code alone: the program that is read is the same to the last instruction.
    quick = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    compiled = traced.lower().compile(quick)
    text, memory = compiled.as_text(), compiled.memory_analysis()
    trainable, frozen = rules_lib.split(dry.variables["params"], dry.stage.rules)
    run = least.layers(replace(dry, x=_part(dry.x, over)))
    work = least.flops(run, tuple(trainable))
    sent = hlo.collective_bytes(text)
    gradients = _nbytes(trainable) + _METRICS if over.size > 1 else 0
    through = _handed_through(traced, dry.state())
    return Audit(
        stage=dry.stage.name,
        devices=over.size,
        flops=Cost(float((compiled.cost_analysis() or {}).get("flops", math.nan)), work),
        products=Cost(hlo.product_flops(text), work),
        temporary=Cost(memory.temp_size_in_bytes if memory else math.nan, least.temporary_bytes(run, trainable)),
        reduced=Cost(sent.pop("all-reduce", 0), gradients),
        exchanged=Cost(sum(sent.values()), 0),
        optimizer=Cost(_nbytes(dry.state().opt_state), least.optimizer_bytes(dry.stage.optimizer, trainable)),
        frozen_leaves=len(frozen),
        trainable_leaves=len(trainable),
        moved=tuple(path for path in frozen if path not in through),
        idle=tuple(path for path in trainable if path in through),
    )


def refuse_moved(name: str, rules: rules_lib.Rules, *, before: Mapping[str, Any], after: Any) -> None:
    """InputError naming a leaf that the rules of stage `name` freeze and whose bits have changed.

    `before` is `{"params", ...}` as the stage found it, `after` its state. Statistics of frozen layers count as frozen.
    """
    old, new = before["params"], rules_lib.flatten(after.params)
    _, frozen = rules_lib.split(old, rules)
    still = rules_lib.frozen_layers(old, rules)
    pairs = {f"params/{path}": (leaf, new[path]) for path, leaf in frozen.items()}
    for kind, tree in after.model_state.items():
        statistics = rules_lib.flatten(before[kind])
        for path, leaf in rules_lib.flatten(tree).items():
            if path.rpartition("/")[0] in still:
                pairs[f"{kind}/{path}"] = (statistics[path], leaf)
    for path, (was, now) in pairs.items():
        if not _same_bits(was, now):
            raise InputError(f"stage {name!r}: its rules freeze {path!r}, but its first steps have changed it")


def _same_bits(a: Any, b: Any) -> bool:
    """One leaf at a time comes to the host; on CPU not even that is a copy."""
    a, b = (np.ascontiguousarray(jax.device_get(x)) for x in (a, b))
    return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a.view(np.uint8), b.view(np.uint8))


def _handed_through(traced: Any, state: Any) -> set[str]:
    """Parameters whose output is their input itself: the same bits whatever the data, without running anything."""
    program = traced.jaxpr.jaxpr
    places = [path for path, _ in jax.tree_util.tree_leaves_with_path(state)]
    same = [a is b for a, b in zip(program.invars[: len(places)], program.outvars[: len(places)], strict=True)]
    prefix = ".params/"
    names = [jax.tree_util.keystr(path, simple=True, separator="/") for path in places]
    return {_path(name) for name, kept in zip(names, same, strict=True) if kept and name.startswith(prefix[1:])}


def _path(name: str) -> str:
    return name.partition("/")[2]


def _part(x: jax.ShapeDtypeStruct, over: Mesh) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((x.shape[0] // over.size, *x.shape[1:]), x.dtype)


def _nbytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
