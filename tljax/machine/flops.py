"""Count the products of a traced program by formula, whatever a backend says of it.

A product is a convolution or a matrix product; its FLOPs are two for each pair of numbers that it
multiplies. Taps of a convolution that fall on padding, or between the numbers of a dilated input,
multiply nothing and are not counted. Everything elementwise is left out.
"""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, Literal
from jax.interpreters import partial_eval
from jax.stages import Traced

Marks = frozenset[str]
NONE: Marks = frozenset()
_OPAQUE = ("pallas_call", "ffi_call")  # kernels of somebody else: what they multiply is not told


@dataclass(frozen=True, eq=False)
class Value:
    """An array in a program: its bytes, and the marks of the inputs that it depends on."""

    nbytes: int
    marks: Marks = NONE


@dataclass(frozen=True)
class Product:
    """A product in a program, in the order of computation.

    `flops` are those of all the times that it runs; NaN where that is not known.
    """

    flops: float
    reads: tuple[Value, ...]
    result: Value


def flops(traced: Traced) -> float:
    """Sum the FLOPs of a traced program's products, over all its devices.

    A scan counts as often as it runs, of a condition's branches the one with most. What no result
    depends on is not counted. NaN where a loop of unknown length or a kernel of somebody else may
    compute products.
    """
    program: ClosedJaxpr = traced.jaxpr
    values = [_value(variable) for variable in program.jaxpr.invars]
    return sum(product.flops for product in products(program, values))


def products(program: ClosedJaxpr, inputs: Sequence[Value]) -> list[Product]:
    """List the products that the program's results depend on.

    `inputs` are the values of its arguments, with marks.
    """
    used = [True] * len(program.jaxpr.outvars)
    alive, _ = partial_eval.dce_jaxpr(program.jaxpr, used, instantiate=True)
    return _walk(alive, inputs)[0]


def valid_taps(
    size: int, *, out: int, taps: int, before: int, stride: int = 1, spread: int = 1, gap: int = 1
) -> int:
    """Count pairs of an output and a tap of its window that fall on a real input, along one axis.

    `before` is the padding at the start, `spread` the dilation of the input and `gap` that of the
    window.
    """
    places = (i * stride + tap * gap - before for i in range(out) for tap in range(taps))
    return sum(1 for place in places if 0 <= place <= (size - 1) * spread and place % spread == 0)


def _walk(program: Jaxpr, inputs: Sequence[Value]) -> tuple[list[Product], list[Value]]:
    """Follow a program: `(its products, its results)`."""
    known: dict[Any, Value] = dict(zip(program.invars, inputs, strict=True))
    found: list[Product] = []

    def read(atom: Any) -> Value:
        return known[atom] if not isinstance(atom, Literal) and atom in known else _value(atom)

    for equation in program.eqns:
        reads = [read(atom) for atom in equation.invars]
        inner, results = _equation(equation, reads)
        found += inner
        known |= zip(equation.outvars, results, strict=True)
    return found, [read(atom) for atom in program.outvars]


def _equation(equation: Any, reads: list[Value]) -> tuple[list[Product], list[Value]]:
    name, params = equation.primitive.name, equation.params
    if name == "scan":
        return _scan(equation, reads)
    if name == "while":
        return _while(equation, reads)
    if name == "cond":
        return _branches(params["branches"], reads[1:])
    if name != "reduce" and (inside := _inside(equation)) is not None:
        times = params["mesh"].size if name == "shard_map" else params.get("axis_size", 1)
        return _often(_walk(inside, reads), times)
    results = [_value(v, *(read.marks for read in reads)) for v in equation.outvars]
    if name == "conv_general_dilated":
        count = _convolution(equation)
    elif name == "dot_general":
        count = _dot(equation)
    elif name in _OPAQUE:
        count = math.nan
    else:
        return [], results
    return [Product(count, tuple(reads), results[0])], results


def _inside(equation: Any) -> Jaxpr | None:
    """Return the program that an equation calls with its own operands, if it calls one."""
    for value in equation.params.values():
        inside = getattr(value, "jaxpr", value)  # closed, or not
        if isinstance(inside, Jaxpr) and len(inside.invars) == len(equation.invars):
            return inside
    return None


def _often(
    walked: tuple[list[Product], list[Value]], times: float
) -> tuple[list[Product], list[Value]]:
    found, results = walked
    return [Product(times * each.flops, each.reads, each.result) for each in found], results


def _scan(equation: Any, reads: list[Value]) -> tuple[list[Product], list[Value]]:
    """Walk a scan's body until the marks of what it carries no longer grow.

    The body takes constants, what is carried, and a slice of each input: the first to have another
    shape than the scan's own operand.
    """
    body = equation.params["jaxpr"].jaxpr
    last = _alike(equation.invars, body.invars)
    first = last - _alike(equation.outvars, body.outvars)
    given = reads[:last] + [
        _value(v, read.marks) for v, read in zip(body.invars[last:], reads[last:], strict=True)
    ]
    while True:
        found, results = _walk(body, given)
        carried = _grown(given[first:last], results)
        if all(old.marks == new.marks for old, new in zip(given[first:last], carried, strict=True)):
            return _often((found, results), equation.params["length"])
        given[first:last] = carried


def _alike(outside: Sequence[Any], inside: Sequence[Any]) -> int:
    pairs = zip(outside, inside, strict=True)
    return sum(outer.aval.shape == inner.aval.shape for outer, inner in pairs)


def _while(equation: Any, reads: list[Value]) -> tuple[list[Product], list[Value]]:
    """Walk a loop's body; how often it runs is not known."""
    params, count = equation.params, len(equation.outvars)
    body, test = params["body_jaxpr"].jaxpr, params["cond_jaxpr"].jaxpr
    before = len(test.invars) - count
    consts, carried = reads[before:-count], reads[-count:]
    while True:
        found, results = _walk(body, [*consts, *carried])
        grown = _grown(carried, results)
        if all(old.marks == new.marks for old, new in zip(carried, grown, strict=True)):
            tested, _ = _walk(test, [*reads[:before], *carried])
            return _often((found + tested, results), math.nan)
        carried = grown


def _branches(
    branches: Sequence[ClosedJaxpr], reads: list[Value]
) -> tuple[list[Product], list[Value]]:
    walked = [_walk(branch.jaxpr, reads) for branch in branches]
    most = max(walked, key=lambda pair: sum(each.flops for each in pair[0]))[0]
    columns = zip(*(results for _, results in walked), strict=True)
    return most, [Value(same[0].nbytes, _union(*(v.marks for v in same))) for same in columns]


def _grown(values: Sequence[Value], results: Sequence[Value]) -> list[Value]:
    """Add to what a loop carries the marks of what its body returns for it."""
    return [
        Value(value.nbytes, value.marks | result.marks)
        for value, result in zip(values, results, strict=False)
    ]


def _value(atom: Any, *marks: Marks) -> Value:
    aval = atom.aval
    nbytes = math.prod(aval.shape) * aval.dtype.itemsize if hasattr(aval, "shape") else 0
    return Value(nbytes, _union(*marks))


def _union(*marks: Marks) -> Marks:
    return NONE.union(*marks)


def _dot(equation: Any) -> float:
    (contracted, _), _ = equation.params["dimension_numbers"]
    lhs, out = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    return 2.0 * math.prod(out) * math.prod(lhs[axis] for axis in contracted)


def _convolution(equation: Any) -> float:
    """Count a convolution of any stride, dilation, padding and number of groups.

    A kernel has the input channels of one group alone; groups of the batch leave as many batches
    fewer in the result.
    """
    params = equation.params
    x, kernel = (v.aval.shape for v in equation.invars)
    y, numbers = equation.outvars[0].aval.shape, params["dimension_numbers"]
    taps = 1
    for axis, (in_x, in_kernel, in_y) in enumerate(
        zip(numbers.lhs_spec[2:], numbers.rhs_spec[2:], numbers.out_spec[2:], strict=True)
    ):
        taps *= valid_taps(
            x[in_x],
            out=y[in_y],
            taps=kernel[in_kernel],
            before=params["padding"][axis][0],
            stride=params["window_strides"][axis],
            spread=params["lhs_dilation"][axis],
            gap=params["rhs_dilation"][axis],
        )
    batch, features, read = y[numbers.out_spec[0]], y[numbers.out_spec[1]], numbers.rhs_spec[1]
    return 2.0 * taps * batch * features * kernel[read]
