"""The least a step can cost, by formula, from a stage's traced forward pass and what it trains."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import math
from collections.abc import Sequence
from typing import Any

import jax

from tljax.audit.abstract_step import Dry
from tljax.machine.flops import Product, Value, products
from tljax.models import ops
from tljax.optim import rules as rules_lib
from tljax.optim.transform import Optimizer
from tljax.train.step import Leaves
from tljax.tree import statistics

TRAINED = frozenset({"trained"})  # marks what depends on a leaf that trains
DATA = frozenset({"data"})  # marks what depends on the images


def forward(dry: Dry) -> list[Product]:
    """List the products of the forward pass to the logits, whatever the layers look like.

    Convolutions of any stride and number of groups, matrix products of attention, and branches that
    meet again are all found, because the traced program is read and not a list of layers.
    """
    variables = dry.variables
    trainable, still = rules_lib.split(variables["params"], dry.stage.rules)
    state = statistics(variables)

    def logits(trainable: Leaves, still: Leaves, state: Any, x: Any) -> Any:
        return dry.apply({"params": rules_lib.merge(trainable, still), **state}, x)[0]

    with ops.stock():
        program = jax.make_jaxpr(logits)(trainable, still, state, dry.x)
    trees = ((trainable, TRAINED), (still, frozenset[str]()), (state, frozenset[str]()))
    inputs = [
        Value(_nbytes(leaf), marks) for tree, marks in trees for leaf in jax.tree.leaves(tree)
    ]
    images = Value(0, DATA)  # they are an argument: no memory of the step's own
    return products(program, [*inputs, images])


def flops(run: Sequence[Product]) -> float:
    """Sum the FLOPs of a training step: forward, and backward as far as anything trains.

    The gradient by an operand costs as much as the product itself, and is needed where a leaf that
    trains decides the operand. Everything elementwise is left out.
    """
    return sum(each.flops * (1 + sum(_trained(value) for value in each.reads)) for each in run)


def temporary_bytes(run: Sequence[Product], trainable: Leaves) -> int:
    """Return the peak of bytes alive at once: what a product reads and gives, and what is kept.

    An operand that depends on the images is kept from its product on where the gradient by the
    other one is needed. Or the largest gradient, if that is more. Nothing is computed twice, an
    array that several products read is kept once, and the images are an argument.
    """
    kept: dict[Value, None] = {}
    most = max(leaf.size * leaf.dtype.itemsize for leaf in trainable.values())
    for each in run:
        own = [value for value in each.reads if value.marks & DATA]
        alive = {**kept, **dict.fromkeys(own), each.result: None}
        most = max(most, sum(value.nbytes for value in alive))
        for value, others in zip(each.reads, reversed(each.reads), strict=True):
            if value.marks & DATA and _trained(others):
                kept[value] = None
    return most


def optimizer_bytes(optimizer: Optimizer, trainable: Leaves) -> int:
    """Count optimizer bytes: RMSprop and momentum keep a number for each parameter, Adam two.

    Adam also keeps a counter for each leaf.
    """
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in trainable.values())
    if optimizer.name == "adam":
        return 2 * size + 4 * len(trainable)
    return size if optimizer.name == "rmsprop" or optimizer.momentum else 0


def _trained(value: Value) -> bool:
    return bool(value.marks & TRAINED)


def _nbytes(leaf: Any) -> int:
    return math.prod(leaf.shape) * leaf.dtype.itemsize
