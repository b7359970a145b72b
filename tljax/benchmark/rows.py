"""The benchmark as data: rows, their peers and bounds, and their goals."""

from dataclasses import dataclass, replace
from typing import Any

Json = dict[str, Any]  # a part of benchmark.json
WHO = {
    "torch": "PyTorch",
    "keras": "Keras on JAX",
    "bound": "measured bound",
    "ours": "tljax",
    "uncached": "tljax, nothing compiled before",
}


@dataclass(frozen=True)
class Settings:
    """Sizes of a run. The defaults are the lecture's, on two CPU cores."""

    size: int = 150  # side of the images
    batch: int = 32  # of the scratch CNN, and of augmentation
    small_batch: int = 32  # the lecture's: where others are larger, a row of its own
    vgg_batch: int = 8
    width: float = 1.0  # VGG16: channels times this
    lite0_size: int = 224  # side of EfficientNet-Lite0's images
    dtype: str = "float32"
    accelerated: bool = False  # PyTorch runs on the GPU, compiled
    matrix: int = 2048  # side of the bound's matrices
    photographs: int = 64  # to decode
    evaluated: int = 256
    calls_steps: int = 4  # in one program; the loop has up to 32
    small_steps: int = 32  # of the small batch, as in the loop: starting a program takes time too
    epoch_steps: int = 8  # of the lecture's 100, because every step costs the same
    seeds: int = 32  # of rung 2, in one program and one after another
    scratch_seeds: int = 8
    seeds_epochs: int = 4  # of the lecture's 30
    seeds_size: int = 64  # of their base: README's own, small enough for a round of seconds
    seeds_width: float = 0.25
    photographs_seen: int = 900  # the seeds train on their features
    seconds: float = 0.5  # least length of a round
    starting: float = 5.0  # seconds until the first program of a process is compiled, to plan with
    making: float = 6.0  # seconds to compile each of the others
    peer_making: float = 10.0  # seconds of a peer, its library's import included


CPU = Settings()
GPU = replace(
    CPU,
    batch=256,
    vgg_batch=256,
    dtype="bfloat16",
    accelerated=True,
    matrix=8192,
    evaluated=2048,
    calls_steps=8,
    epoch_steps=32,
    seeds_epochs=30,  # of less, compiling is nearly all
    starting=30.0,  # on an H100 57 s where the whole VGG16 is first; kernels are timed
    making=12.0,  # 4 to 28 s
    peer_making=25.0,  # torch.compile; a guess, as it was never timed alone
)


@dataclass(frozen=True)
class Against:
    """A peer or bound in the same run.

    `goal` is the least ratio of our rate to its rate, in `unit` per second.
    """

    who: str  # a key of WHO
    contender: str
    goal: float | None = None
    unit: str = "images"


@dataclass(frozen=True)
class Row:
    """A row of the benchmark: `ours` and each of `against` name contenders.

    With `fresh` each round of each contender is a process of its own. `lasts` is about what one
    call takes, on CPU and on an accelerator, where that is longer than a round. A row of
    `accelerators` is nothing on CPU: another row is the same there. `goal` is the least number of
    images a second of ours.
    """

    name: str
    what: str
    ours: str
    against: tuple[Against, ...]
    fresh: bool = False
    lasts: tuple[float, float] | None = None
    accelerators: bool = False
    goal: float | None = None


def _matrices(goal: float | None = None) -> Against:
    return Against("bound", "matrix product", goal, unit="flops")


ROWS = (  # in order of worth, for a benchmark with little time
    Row(
        "scratch step",
        "the lecture's CNN, all of it trains",
        "scratch step",
        (
            Against("keras", "scratch step", 3.5),
            Against("torch", "scratch step", 1.2),
            _matrices(),
        ),
    ),
    Row(
        "scratch step at 32",
        "the same at the lecture's batch, bound by the number of kernels; the goal is an H100's",
        "small scratch step",
        (Against("torch", "small scratch step"), _matrices()),
        accelerators=True,
        goal=45_000.0,
    ),
    Row(
        "full step",
        "VGG16, all of it trains",
        "full step",
        (Against("torch", "full step", 1.0), _matrices()),
    ),
    Row(
        "frozen step",
        "VGG16, the head trains",
        "frozen step",
        (Against("torch", "frozen step", 1.05), _matrices()),
    ),
    Row(
        "block5 step",
        "VGG16, block5 and the head train",
        "block5 step",
        (Against("torch", "block5 step", 1.1), _matrices()),
    ),
    Row(
        "cached block5 step",
        "the same from the prefix's activations",
        "cached block5 step",
        (Against("torch", "block5 step", 5.0), Against("ours", "block5 step")),
    ),
    Row(
        "VGG16 forward",
        "logits of images",
        "forward",
        (Against("torch", "forward", 1.0), _matrices()),
    ),
    Row(
        "Lite0 step",
        "EfficientNet-Lite0 at 224 pixels, all of it trains",
        "Lite0 step",
        (Against("torch", "Lite0 step", 1.0),),
    ),
    Row(
        "Lite0 forward",
        "its logits of images",
        "Lite0 forward",
        (Against("torch", "Lite0 forward", 1.0),),
    ),
    Row(
        "epoch",
        "rung 1 from decoded images: draw, augment, step",
        "epoch",
        (Against("ours", "scratch step", 0.95),),
    ),
    Row(
        "augmentation",
        "rotation, shift, shear, zoom, flip, 1/255",
        "augmentation",
        (
            Against("keras", "augmentation", 20.0),
            Against("ours", "frozen step"),
            Against("bound", "copy", unit="bytes"),
        ),
    ),
    Row(
        "evaluation",
        "the scratch CNN over a validation set",
        "evaluation",
        (
            Against("ours", "scratch forward"),
            Against("torch", "evaluation"),
            Against("keras", "evaluation"),
        ),
    ),
    Row(
        "seeds",
        "rung 2 with so many seeds in one program, from tracing to the last step",
        "seeds together",
        (Against("ours", "seeds in turn"),),
        lasts=(8.0, 8.0),
    ),
    Row(
        "scratch seeds",
        "rung 1 with so many seeds in one program: each convolution has a kernel for each seed",
        "scratch seeds together",
        (Against("ours", "scratch seeds in turn"),),
        lasts=(60.0, 12.0),
    ),
    Row("decode", "JPEG of 500 x 375 to a square", "decode", (Against("keras", "decode"),)),
    Row(
        "first step",
        "from a process's start to its first scratch step, compiled before",
        "scratch step",
        (
            Against("uncached", "scratch step", unit="starts"),
            Against("torch", "scratch step", unit="starts"),
            Against("keras", "scratch step", unit="starts"),
        ),
        fresh=True,
    ),
)
