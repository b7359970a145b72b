"""Check that what the rules freeze stays as it is.

Once in the traced program before it runs, and once by comparing bits after its first steps.
"""

# pyright: strict
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from typing import Any

import jax
import numpy as np
from jax import Array
from jax.stages import Traced
from jax.typing import ArrayLike

from tljax.config import Stage
from tljax.errors import InputError
from tljax.optim import rules as rules_lib
from tljax.train.step import Leaves, Params, State, Variables
from tljax.tree import flatten


def held(variables: Variables, stage: Stage) -> Leaves:
    """Select what a stage freezes of `{"params", "batch_stats"?}`.

    The frozen parameters, and the statistics of layers of which no parameter trains unless the
    stage lets them move; by path, such as `params/base/block1_conv1/kernel`.
    """
    _, frozen = rules_lib.split(variables["params"], stage.rules)
    selected = {f"params/{path}": leaf for path, leaf in frozen.items()}
    still = still_layers(variables["params"], stage)
    for kind, tree in variables.items():
        if kind != "params":
            leaves = flatten(tree)
            selected |= {
                f"{kind}/{path}": leaf
                for path, leaf in leaves.items()
                if path.rpartition("/")[0] in still
            }
    return selected


def still_layers(params: Params, stage: Stage) -> frozenset[str]:
    """Return the paths of the layers whose batch statistics a stage holds."""
    frozen = rules_lib.frozen_layers(params, stage.rules)
    return frozen if stage.statistics == "held" else frozenset[str]()


def ends(traced: Traced, state: State) -> tuple[State, State]:
    """Return the state that a traced program takes and the state that it returns.

    The program is `(state, ...) -> (state, ...)`; the leaves are its variables. A variable that is
    the same in both is handed through: the same bits for any data. This holds for a scan as well,
    where JAX makes a constant of what the body hands through.
    """
    program: Any = traced.jaxpr.jaxpr
    structure: Any = jax.tree.structure(state)
    count: int = structure.num_leaves
    taken, left = program.invars[:count], program.outvars[:count]
    return jax.tree.unflatten(structure, taken), jax.tree.unflatten(structure, left)


def moving(traced: Traced, state: State, stage: Stage) -> list[str]:
    """List the paths that a stage freezes and the traced program does not hand through."""
    taken, left = (held(variables(end), stage) for end in ends(traced, state))
    return [path for path, variable in taken.items() if left[path] is not variable]


def refuse_moving(stage: Stage, traced: Traced, state: State) -> None:
    """Raise an InputError that names what the stage freezes and its program moves.

    Nothing has run yet.
    """
    if paths := moving(traced, state, stage):
        raise InputError(
            f"stage {stage.name!r}: its rules freeze {paths[0]!r}, but its step changes it"
        )


def refuse_moved(stage: Stage, *, before: Variables, after: State) -> None:
    """Raise an InputError that names what the stage freezes and whose bits have changed.

    `before` is `{"params", "batch_stats"?}`.
    """
    now = held(variables(after), stage)
    for path, leaf in held(before, stage).items():
        if not same_bits(leaf, now[path]):
            raise InputError(
                f"stage {stage.name!r}: its rules freeze {path!r}, "
                "but its first steps have changed it"
            )


def variables(state: State) -> Variables:
    """Return the variables of a state as a module takes them: `{"params", "batch_stats"?}`."""
    return {"params": state.params, **state.model_state}


def same_bits(was: ArrayLike, now: Array | np.ndarray) -> bool:
    """Tell whether a leaf has the bits that it had, NaN and the sign of zero included.

    They are compared in the dtype that it has on the devices.
    """
    a, b = np.asarray(was, now.dtype), np.asarray(now)
    return a.shape == b.shape and a.tobytes() == b.tobytes()
