"""What the rules freeze stays as it is: read from the traced program before it runs, and from the bits after."""

# pyright: strict
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from typing import Any

import jax
import numpy as np
from jax.stages import Traced

from tljax.config import Stage
from tljax.errors import InputError
from tljax.optim import rules as rules_lib
from tljax.train.step import State, Variables
from tljax.tree import flatten


def held(variables: Variables, rules: rules_lib.Rules) -> dict[str, Any]:
    """What the rules freeze of `{"params", "batch_stats"?}`, by path (`params/base/block1_conv1/kernel`).

    The frozen parameters, and the statistics of layers of which no parameter trains.
    """
    _, frozen = rules_lib.split(variables["params"], rules)
    found = {f"params/{path}": leaf for path, leaf in frozen.items()}
    still = rules_lib.frozen_layers(variables["params"], rules)
    for kind, tree in variables.items():
        if kind != "params":
            leaves = flatten(tree)
            found |= {
                f"{kind}/{path}": leaf
                for path, leaf in leaves.items()
                if path.rpartition("/")[0] in still
            }
    return found


def ends(traced: Traced, state: State) -> tuple[State, State]:
    """The state as a traced program `(state, ...) -> (state, ...)` takes it and leaves it, with variables as leaves.

    A variable that is the same in both is handed through: the same bits whatever the data. In a scan as well, where
    JAX makes a constant of what the body hands through.
    """
    program: Any = traced.jaxpr.jaxpr
    structure: Any = jax.tree.structure(state)
    count: int = structure.num_leaves
    taken, left = program.invars[:count], program.outvars[:count]
    return jax.tree.unflatten(structure, taken), jax.tree.unflatten(structure, left)


def moving(traced: Traced, state: State, rules: rules_lib.Rules) -> list[str]:
    """What the rules freeze and the traced program does not hand through, by path."""
    taken, left = (held(variables(end), rules) for end in ends(traced, state))
    return [path for path, variable in taken.items() if left[path] is not variable]


def refuse_moving(stage: Stage, traced: Traced, state: State) -> None:
    """InputError naming what the stage freezes and its program moves; nothing has run yet."""
    if found := moving(traced, state, stage.rules):
        raise InputError(
            f"stage {stage.name!r}: its rules freeze {found[0]!r}, but its step changes it"
        )


def refuse_moved(stage: Stage, *, before: Variables, after: State) -> None:
    """InputError naming what the stage freezes and whose bits have changed; `before` is `{"params", ...}`."""
    now = held(variables(after), stage.rules)
    for path, leaf in held(before, stage.rules).items():
        if not same_bits(leaf, now[path]):
            raise InputError(
                f"stage {stage.name!r}: its rules freeze {path!r}, but its first steps have changed it"
            )


def variables(state: State) -> Variables:
    """As a module takes them: `{"params", "batch_stats"?}`."""
    return {"params": state.params, **state.model_state}


def same_bits(was: Any, now: Any) -> bool:
    """Whether a leaf is what it was, NaN and the sign of zero included, in the dtype that it has on the devices."""
    a, b = np.asarray(was, now.dtype), np.asarray(now)
    return a.shape == b.shape and a.tobytes() == b.tobytes()
