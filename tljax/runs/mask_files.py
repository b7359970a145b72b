"""Masks that a run draws on photographs, as palette PNG files beside coloured overlays."""

# pyright: strict

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tljax.data import palette
from tljax.errors import InputError
from tljax.files import disk
from tljax.tasks.segmentation import Segmentation
from tljax.train.outcome.masked import masks
from tljax.train.outcome.prediction import Prediction
from tljax.train.outcome.trained import Trained


def write(
    trained: Trained,
    photographs: Sequence[str],
    out: Path,
    *,
    views: int = 0,
    tell: Callable[[str], None],
) -> Iterator[Prediction]:
    """Write `NAME.png`, a palette mask of each photograph's size, and `NAME.overlay.jpg` to `out`.

    Yields the shares of the pixels that each class has. The numbers are those of the masks that
    were learnt from. `views` are as in `masks`. `tell` is told of photographs that cannot be read.
    InputError for two of one name.
    """
    task, classes = trained.task, trained.classes
    assert isinstance(task, Segmentation)
    named: dict[str, str] = {}
    for drawn in masks(trained, list(photographs), views=views):
        if isinstance(drawn, InputError):
            tell(str(drawn))
            continue
        stem = Path(drawn.name).stem
        if stem in named:
            raise InputError(f"{out}: {drawn.name} and {named[stem]} would both be {stem}.png")
        named[stem] = drawn.name
        png = palette.png(drawn.mask, numbers=task.numbers, classes=len(classes))
        laid = palette.overlay(drawn.photograph, drawn.mask, classes=len(classes))
        disk.write(out / f"{stem}.png", png)
        disk.write(out / f"{stem}.overlay.jpg", palette.jpeg(laid))
        yield Prediction((drawn.name,), classes, drawn.shares(len(classes))[None])
