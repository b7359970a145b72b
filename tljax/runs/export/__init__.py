"""A trained classifier as a file that other programs run."""

# pyright: strict

from collections.abc import Callable
from pathlib import Path

from tljax.errors import InputError
from tljax.files import disk
from tljax.files.home import at_home
from tljax.runs.export import keras, onnx, stablehlo
from tljax.train.outcome.trained import Trained, refuse_other

WRITERS: dict[str, Callable[[Path, Trained], None]] = {
    "stablehlo": stablehlo.write,
    "keras": keras.write,
    "onnx": onnx.write,
}
SUFFIXES = {"stablehlo": ".stablehlo", "keras": ".keras", "onnx": ".onnx"}


def export(trained: Trained, path: str | Path, *, to: str = "stablehlo") -> list[Path]:
    """Write a classifier for other programs, whole or not at all; return the files' paths.

    In all of them the input is photographs uint8 `[N, size, size, 3]`, RGB, and the output their
    probabilities float32 `[N, classes]`, or what another task answers; the preprocessing is inside.
    Beside the file is one with `.json` after its name: classes in their order, and the side of the
    photographs. InputError where `to` does not suit the classifier, or wants a package that is not
    installed.
    """
    path = at_home(path)
    if trained.task.dense:
        raise InputError(f"export: expected a classifier, found a run of {trained.task.name}")
    if to not in WRITERS:
        raise InputError(f"export: to: expected one of {', '.join(WRITERS)}, found {to!r}")
    if to == "keras":
        refuse_other(trained, "export: --to keras")
    with disk.replacing(path) as part:
        WRITERS[to](part, trained)
    about = path.with_name(f"{path.name}.json")
    base = {"base": trained.network.base, "rung": trained.rung, "seed": trained.seed}
    disk.write_json(about, {"classes": list(trained.classes), "size": trained.size, **base})
    return [path, about]
