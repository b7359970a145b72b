"""A trained classifier as a file that other programs run."""

# pyright: strict

from collections.abc import Callable
from pathlib import Path

from tljax.errors import InputError
from tljax.files import disk
from tljax.files.home import at_home
from tljax.runs.export import keras, onnx, stablehlo
from tljax.runs.export.program import reads_texts
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
    Of texts, for StableHLO alone, the input is tokens int32 `[N, size]`, 0 for padding. Beside the
    file is one with `.json` after its name: classes in their order, and the side of the photographs
    or the tokens of a text; of texts also one with `.tokenizer.json`. InputError where `to` does
    not suit the classifier, or wants a package that is not installed.
    """
    path = at_home(path)
    if trained.task.dense:
        raise InputError(f"export: expected a classifier, found a run of {trained.task.name}")
    if to not in WRITERS:
        raise InputError(f"export: to: expected one of {', '.join(WRITERS)}, found {to!r}")
    texts = reads_texts(trained)
    if texts and to != "stablehlo":
        raise InputError(f"export: --to {to}: expected photographs, found texts: use stablehlo")
    if to == "keras":
        refuse_other(trained, "export: --to keras")
    with disk.replacing(path) as part:
        WRITERS[to](part, trained)
    about = path.with_name(f"{path.name}.json")
    base = {"base": trained.network.base, "rung": trained.rung, "seed": trained.seed}
    disk.write_json(about, {"classes": list(trained.classes), "size": trained.size, **base})
    if not texts:
        return [path, about]
    words = path.with_name(f"{path.name}.tokenizer.json")
    with disk.replacing(words) as part:
        part.write_text(str(trained.preprocess.to_dict()["tokenizer"]))
    return [path, about, words]
