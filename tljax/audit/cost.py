"""Measure what a compiled step trains and costs, against the least possible cost."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false

import math
from dataclasses import dataclass, replace
from typing import Any

import jax
from jax.extend.core import Literal
from jax.sharding import Mesh
from jax.stages import Compiled, Traced

from tljax.audit import hlo, lower_bound
from tljax.audit.abstract_step import Dry
from tljax.machine.flops import flops
from tljax.machine.memory import temporary
from tljax.optim import rules as rules_lib
from tljax.train import frozen
from tljax.train.step import State

_METRICS = 8  # bytes that a step reduces besides gradients: the loss and the number correct


@dataclass(frozen=True)
class Cost:
    """Hold a cost of the compiled step, and the least it could be.

    NaN where the compiler does not say.
    """

    found: float
    least: float

    @property
    def ratio(self) -> float:
        """Divide the cost by the least; 1 where nothing is wasted, also where both are 0."""
        return (
            1.0 if self.found == self.least else self.found / self.least if self.least else math.inf
        )


@dataclass(frozen=True)
class Audit:
    """Describe a stage's step on one of its devices.

    `flops` are those of the traced products, by the formula of `machine.flops`: the same on every
    backend. `products` are those of the `convolution` and `dot` instructions in the optimised
    program, and `compiler` its `cost_analysis`, everything elementwise included; both are unknown
    where libraries compute products, as on a GPU. All are compared with the least, which has
    products alone. On CPU an image smaller than the kernel is convolved as a matrix product that
    multiplies its padding too; that is above the least. A program may also be below it: rows that
    pooling drops may be left out. `temporary` comes from `memory_analysis`; `reduced`, the results
    of all-reduces, and `exchanged`, those of any other collective, from the program's text;
    `optimizer` from the state. `launches` is the number of kernels of a step.

    `held` names the leaves that the rules freeze, `moved` those of them that the step does not
    return unchanged; `trainable` the leaves that the rules train, `idle` those of them that the
    images do not influence (clipping by a common norm gives them some influence).
    """

    stage: str
    devices: int
    flops: Cost
    products: Cost
    compiler: Cost
    temporary: Cost
    reduced: Cost
    exchanged: Cost
    optimizer: Cost
    launches: int
    held: tuple[str, ...]
    trainable: tuple[str, ...]
    moved: tuple[str, ...]
    idle: tuple[str, ...]


def audit(dry: Dry, over: Mesh) -> Audit:
    """Trace and compile the step once, from shapes; nothing is computed."""
    traced, state, rules = dry.trace(over), dry.state(), dry.stage.rules
    # Fewer optimisations of machine code only: the program's text stays the same.
    quick: Any = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    compiled: Any = traced.lower().compile(quick)
    text = compiled.as_text()
    trainable, _ = rules_lib.split(state.params, rules)
    run = lower_bound.forward(replace(dry, x=_part(dry.x, over)))
    work, multiplied = lower_bound.flops(run), hlo.product_flops(text)
    counted = flops(traced) / over.size
    sent = hlo.collective_bytes(text)
    gradients = _nbytes(trainable) + _METRICS if over.size > 1 else 0
    return Audit(
        stage=dry.stage.name,
        devices=over.size,
        flops=Cost(counted, work),
        products=Cost(multiplied, work),
        compiler=Cost(_analysed(compiled, least=max(multiplied, counted / 2)), work),
        temporary=Cost(temporary(compiled), lower_bound.temporary_bytes(run, trainable)),
        reduced=Cost(sent.pop("all-reduce", 0), gradients),
        exchanged=Cost(sum(sent.values()), 0),
        optimizer=Cost(
            _nbytes(state.opt_state), lower_bound.optimizer_bytes(dry.stage.optimizer, trainable)
        ),
        launches=hlo.launches(text),
        held=tuple(frozen.held(frozen.variables(state), dry.stage)),
        trainable=tuple(trainable),
        moved=tuple(frozen.moving(traced, state, dry.stage)),
        idle=_idle(traced, state, rules),
    )


def _idle(traced: Traced, state: State, rules: rules_lib.Rules) -> tuple[str, ...]:
    """List trainable leaves that no path through the program connects with the images.

    The images are the first input after the state.
    """
    program = traced.jaxpr.jaxpr
    reached = {program.invars[jax.tree.structure(state).num_leaves]}
    for equation in program.eqns:
        if any(not isinstance(v, Literal) and v in reached for v in equation.invars):
            reached.update(equation.outvars)
    _, left = frozen.ends(traced, state)
    trainable, _ = rules_lib.split(left.params, rules)
    return tuple(
        path for path, v in trainable.items() if isinstance(v, Literal) or v not in reached
    )


def _analysed(compiled: Compiled, *, least: float) -> float:
    """Return the FLOPs of the compiler's analysis; NaN where it left out products, or is silent."""
    costs: Any = compiled.cost_analysis() or {}
    found = float(costs.get("flops", math.nan))
    return found if found >= least else math.nan


def _part(x: jax.ShapeDtypeStruct, over: Mesh) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((x.shape[0] // over.size, *x.shape[1:]), x.dtype)


def _nbytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
