"""Find a network's convolutions of which `machine.lowering` may choose how they are computed."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr

from tljax.models import build, winograd
from tljax.models.build import Network
from tljax.models.winograd import NONE, Shape
from tljax.tasks.task import Task

LEAST = 0.2e9  # FLOPs of an image below which a convolution is not worth the choice


def shapes_of(network: Network, like: jax.ShapeDtypeStruct, *, task: Task) -> set[Shape]:
    """Find the large 3 x 3 convolutions of stride 1, and those that compute their gradients.

    `like` is what the network takes; it is traced, and nothing is computed.
    """
    module = build.classifier(network, classes=2, task=task)
    with winograd.using(NONE):
        traced = jax.make_jaxpr(module.init)(jax.random.key(0), like)
    found = {shape for equation in _equations(traced.jaxpr) if (shape := _shape(equation))}
    return {each for shape in found for each in (shape, shape.turned) if shape.flops >= LEAST}


def _equations(program: Jaxpr) -> Iterator[Any]:
    """Walk a traced program and those that it calls."""
    for equation in program.eqns:
        yield equation
        for value in equation.params.values():
            for each in value if isinstance(value, (tuple, list)) else (value,):
                inside = getattr(each, "jaxpr", each)  # closed, or not
                if isinstance(inside, Jaxpr):
                    yield from _equations(inside)


def _shape(equation: Any) -> Shape | None:
    """Return the shape of a convolution that Winograd's way can compute; None of anything else."""
    if equation.primitive.name != "conv_general_dilated":
        return None
    params = equation.params
    x, kernel = (each.aval for each in equation.invars)
    rows, columns = params["padding"]
    plain = (
        kernel.shape[:2] == (3, 3)
        and params["dimension_numbers"].lhs_spec == (0, 3, 1, 2)
        and params["dimension_numbers"].rhs_spec == (3, 2, 0, 1)
        and set(params["window_strides"]) == {1}
        and params["feature_group_count"] == params["batch_group_count"] == 1
        and rows == columns in ((0, 0), (1, 1))
        and x.dtype == jnp.float32
    )
    return Shape.of(x.shape, kernel.shape, rows[0]) if plain else None
