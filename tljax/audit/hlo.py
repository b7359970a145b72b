"""A compiled program's text: what it multiplies, launches, and sends to other devices.

The compiler's own cost analysis is best effort and may be missing. The matrix products and
convolutions that it would count are in the text, instruction by instruction, inside fused
computations too.
"""

# pyright: strict

import math
import re

from tljax.machine.flops import valid_taps

_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][a-z0-9\-]*)\((.*)$")
_SHAPE = re.compile(r"\b([a-z]+[0-9]*(?:e[0-9]m[0-9]\w*)?)\[([0-9,]*)\]")
_NAME = re.compile(r"%([\w.\-]+)")
_COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
    "ragged-all-to-all",
)
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) [^\n]*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_CALLS = ("while", "conditional", "call", "async-start")
_CALLED = re.compile(
    r"(?:condition|body|to_apply|calls|true_computation|false_computation)=%[\w.\-]+"
    r"|branch_computations=\{[^}]*\}"
)
_TRIPS = re.compile(r'known_trip_count":\{"n":"([0-9]+)"')
_FREE = (  # names for what is there already
    "parameter",
    "constant",
    "tuple",
    "get-tuple-element",
    "bitcast",
    "after-all",
    "opt-barrier",
)
# Products by libraries, which the text does not describe: cuBLAS, cuDNN, oneDNN, Triton.
_OPAQUE = re.compile(
    r'custom_call_target="[^"]*(?:conv|gemm|dot|matmul|cublas|cudnn)', re.IGNORECASE
)


def product_flops(text: str) -> float:
    """Count multiplications and additions of `convolution` and `dot` instructions, on one device.

    Taps of a convolution that fall on padding are not counted. The body of a loop counts once. NaN
    where a custom call computes products, which the text does not describe (on GPU; on CPU they
    stay instructions).
    """
    shapes: dict[str, tuple[int, ...]] = {}
    total = 0.0
    for line in text.splitlines():
        if (instruction := _INSTRUCTION.match(line)) is None:
            continue
        name, kind, operation, rest = instruction.groups()
        if len(dims := _shapes(kind)) == 1:
            shapes[name] = dims[0][1]  # names are defined before they are used
        if operation == "custom-call" and _OPAQUE.search(rest):
            return math.nan
        if operation in ("dot", "convolution"):
            lhs, rhs = (shapes[operand] for operand in _NAME.findall(rest)[:2])
            total += (
                _dot(shapes[name], lhs, rest)
                if operation == "dot"
                else _convolution(shapes[name], lhs, rhs, rest)
            )
    return total


def launches(text: str) -> int:
    """Count the kernels that a program starts: instructions that compute.

    A fusion is one, and so is a copy, a library's product or a collective. What is in a loop counts
    as often as the text says that the loop runs, or once where it does not say.
    """
    bodies = {name: lines.splitlines() for name, lines in _COMPUTATION.findall(text)}
    entry = re.search(r"^ENTRY %?([\w.\-]+)", text, re.MULTILINE)
    return _launched(entry[1], bodies) if entry else 0


def _launched(name: str, bodies: dict[str, list[str]]) -> int:
    count = 0
    for line in bodies[name]:
        if (instruction := _INSTRUCTION.match(line)) is None:
            continue
        operation, rest = instruction[3], instruction[4]
        if operation in _CALLS:
            called = " ".join(match[0] for match in _CALLED.finditer(rest))
            times = int(found[1]) if (found := _TRIPS.search(rest)) else 1
            count += times * sum(_launched(inner, bodies) for inner in _NAME.findall(called))
        elif operation not in _FREE and not operation.endswith("-done"):
            count += 1
    return count


def collective_bytes(text: str) -> dict[str, int]:
    """Sum the result bytes of collectives by kind (`all-reduce`, `all-gather`, ...), on one device.

    An asynchronous one counts where it is done: where it starts, some kinds list their operands
    with the result.
    """
    sent: dict[str, int] = {}
    for line in text.splitlines():
        if (instruction := _INSTRUCTION.match(line)) and (
            operation := instruction[3].removesuffix("-done")
        ) in _COLLECTIVES:
            result = sum(_bytes(dtype) * math.prod(dims) for dtype, dims in _shapes(instruction[2]))
            sent[operation] = sent.get(operation, 0) + result
    return sent


def _dot(out: tuple[int, ...], lhs: tuple[int, ...], rest: str) -> float:
    match = re.search(r"lhs_contracting_dims=\{([0-9,]*)\}", rest)
    axes = [int(axis) for axis in match[1].split(",") if axis] if match else []
    return 2.0 * math.prod(out) * math.prod(lhs[axis] for axis in axes)


def _convolution(
    out: tuple[int, ...], lhs: tuple[int, ...], rhs: tuple[int, ...], rest: str
) -> float:
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", rest)
    if labels is None:
        raise ValueError(f"a convolution without dim_labels: {rest}")
    x, kernel, y = labels.groups()
    taps = 1
    for place, axis in enumerate(sorted(set(x) & set("0123456789"))):
        before = re.split("_", _window(rest, "pad", "0_0", place))[0]
        taps *= valid_taps(
            lhs[x.index(axis)],
            out=out[y.index(axis)],
            taps=rhs[kernel.index(axis)],
            before=int(before),
            stride=int(_window(rest, "stride", "1", place)),
            spread=int(_window(rest, "lhs_dilate", "1", place)),
            gap=int(_window(rest, "rhs_dilate", "1", place)),
        )
    return 2.0 * taps * out[y.index("b")] * out[y.index("f")] * rhs[kernel.index("i")]


def _window(rest: str, field: str, default: str, axis: int) -> str:
    """Read a value of `window={size=3x3 pad=1_1x1_1}` along a spatial axis."""
    window = re.search(r"window=\{([^}]*)\}", rest)
    match = re.search(rf"(?:^| ){field}=(\S+)", window[1]) if window else None
    return match[1].split("x")[axis] if match else default


def _shapes(kind: str) -> list[tuple[str, tuple[int, ...]]]:
    """List the arrays in a type: `(f32[64]{0}, f32[])` -> `[("f32", (64,)), ("f32", ())]`."""
    return [
        (dtype, tuple(int(d) for d in dims.split(",") if d)) for dtype, dims in _SHAPE.findall(kind)
    ]


def _bytes(dtype: str) -> int:
    """Return a dtype's bytes: 1 for `pred`, else from the first number in its name, its bits.

    For example f32, bf16, s8, f8e4m3fn.
    """
    bits = re.search(r"[0-9]+", dtype)
    return max(1, int(bits[0]) // 8) if bits else 1
