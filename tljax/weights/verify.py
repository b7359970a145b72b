"""Tables of a weights file's contents, even of a file that `read` refuses."""

from pathlib import Path

import numpy as np

from tljax.data.preprocess import BY_NAME, Prepare, from_dict, of_pixels, words
from tljax.errors import InputError
from tljax.models import build
from tljax.models.build import Network
from tljax.tree import LISTED, flatten
from tljax.weights import safe
from tljax.weights.assemble import expected
from tljax.weights.contents import Contents, Leaf, Weights
from tljax.weights.formats import opened
from tljax.weights.leaves import DTYPES, check_leaves
from tljax.weights.preprocessing import PHOTOGRAPHS, check_preprocess, differences, ordinary
from tljax.weights.vgg16 import TOP, width_of

HEADINGS = ("leaf", "shape", "", "mean", "std", "min", "max")


def table(path: Path) -> str:
    """Format a row for each leaf that the file has or should have, and the preprocessing.

    InputError where it cannot be opened at all; `read` decides whether it is whole.
    """
    foreign = opened(path)
    if foreign is None:
        return table_of(safe.read(path))
    with foreign as contents:
        return _table(contents)


def table_of(weights: Weights) -> str:
    """Format the same of weights that are read."""
    return _table(_ours(weights))


def check_whole(path: Path, weights: Weights) -> None:
    """Refuse weights that are not those of a whole base; InputError names the leaves."""
    contents = _ours(weights)
    where = f"{path}: not a whole {name_of_base(contents)}"
    check_leaves(where, path, contents.leaves, expected(contents))


def name_of_base(contents: Contents) -> str:
    """Name the base of a file with its options."""
    if contents.base == "vgg16":
        shapes = {name: leaf.shape for name, leaf in contents.leaves.items()}
        return f"VGG16 of width {width_of(shapes):g}"
    return " ".join([contents.base, *(f"{name}={x}" for name, x in contents.options.items())])


def name_of(preprocess: Prepare) -> str:
    """Describe the preprocessing, with its name where it has one."""
    name = next((f"{name}: " for name, stock in BY_NAME.items() if stock == preprocess), "")
    return f"{name}{words(preprocess)}"


def top_classes(weights: Weights, picture: Path, *, count: int = 5) -> list[str]:
    """Predict the likeliest classes of an image.

    Each line has the probability, the index, and the name where there are names. InputError for
    weights without a top, or another number of names than of classes.
    """
    import jax

    from tljax.data import photos
    from tljax.models.classifiers import Classifier
    from tljax.models.heads import Head, Top

    if weights.top is None or "size" not in weights.architecture:
        raise InputError(
            f"{weights.source}: --image needs the layers after the base, found the base only"
        )
    try:
        data = picture.read_bytes()
    except OSError as error:
        raise InputError(f"{picture}: expected a picture: {error.strerror}") from None
    image = photos.decode(data, size=weights.architecture["size"], name=str(picture))
    hidden, classes = weights.top["predictions"]["kernel"].shape
    if weights.classes and len(weights.classes) != classes:
        raise InputError(
            f"{weights.source}: expected {classes} names, one for each class, "
            f"found {len(weights.classes)}"
        )
    own = Top(outputs=classes, hidden=hidden) if "fc1" in weights.top else None
    base = build.base_of(Network(*build.described(weights.architecture)))
    model = Classifier(base, own or Head(outputs=classes, hidden=0))
    whole = {"params": {"base": weights.params, "head": weights.top}}
    variables = whole | (
        {"batch_stats": {"base": weights.statistics}} if weights.statistics else {}
    )
    before = of_pixels(weights.preprocess, where=weights.source)
    logits, _ = jax.jit(model.apply)(variables, before(image[None]))
    chances = np.asarray(jax.nn.softmax(logits[0]))
    names = weights.classes or [""] * classes
    best = np.argsort(-chances, kind="stable")[:count]
    return [
        f"{100 * chances[i]:6.2f} %  class {i}{f'  {names[i]}' if names[i] else ''}" for i in best
    ]


def suits(weights: Weights, folder: Path | None, *, size: int = 150) -> list[str]:
    """Report whether the file's preprocessing suits it.

    The check uses photographs in `folder`, or the first kernel alone without one. With photographs
    in `folder` or below it, the lines also say how much features differ with each known
    preprocessing. InputError for a folder without photographs.
    """
    images = _photographs(folder, size) if folder else np.zeros((0, size, size, 3), np.uint8)
    check = check_preprocess(weights, images)
    lines = [f"WARNING: {check.alarm}"] if check.alarm else []
    if check.published is not None:
        kernel = "first kernel: that of the published ImageNet weights"
        lines.append(f"{kernel}, for {words(check.published)}")
    if folder is None or check.photographs < 2:
        return lines
    preprocesses = tuple(dict.fromkeys((check.used, *BY_NAME.values())))
    each = differences(weights, ordinary(images), preprocesses)
    photographs = f"{check.photographs} photographs of {folder} at {size} x {size}"
    heading = f"{photographs}: how much their features differ, with"
    rows = [
        f"  {value:5.3f}  {words(preprocess)}"
        for preprocess, value in zip(preprocesses, each, strict=True)
    ]
    return ["", heading, *rows, *(lines or ["nothing speaks against the preprocessing"])]


def _photographs(folder: Path, size: int) -> np.ndarray:
    """Read some of the photographs below a folder, `[n, size, size, 3] uint8`."""
    from tljax.data import photos
    from tljax.data.folder import read_file

    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in photos.EXTENSIONS and path.is_file()
    )
    if not paths:
        raise InputError(
            f"{folder}: expected a folder with photographs in it or below it, found none"
        )
    rows = np.unique(np.linspace(0, len(paths) - 1, PHOTOGRAPHS).round().astype(int))
    return np.stack(
        [photos.decode(read_file(paths[i]), size=size, name=str(paths[i])) for i in rows]
    )


def _ours(weights: Weights) -> Contents:
    arrays = flatten(weights.params) | flatten(weights.top or {}) | flatten(weights.statistics)
    base, options = build.described(weights.architecture, source=weights.source)
    leaves = {
        name: Leaf(name, array.shape, array.dtype.name, lambda array=array: array)
        for name, array in arrays.items()
    }
    size = weights.architecture.get("size") or weights.provenance.get("size")
    return Contents(
        leaves,
        weights.preprocess,
        "tljax's safetensors",
        base=base,
        options=options,
        size=size if isinstance(size, int) and size > 0 else None,
    )


def _table(contents: Contents) -> str:
    leaves = contents.leaves
    shapes = {name: leaf.shape for name, leaf in leaves.items()}
    required = expected(contents)
    names = [*required, *(name for name in shapes if name not in required)]
    rows = [HEADINGS, *(_row(name, leaves.get(name), required.get(name)) for name in names)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    top = "with its top" if f"{TOP[-1]}/bias" in shapes else "without top"
    stored = contents.about.get("preprocess")
    preprocess = from_dict(stored) if stored else contents.preprocess
    about = f"{contents.layout}: {name_of_base(contents)} {top}"
    out = [f"left out: {_some(contents.left_out)}"] if contents.left_out else []
    return "\n".join([*lines, "", about, *out, f"preprocessing {name_of(preprocess)}"])


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" * (len(names) > LISTED))


def _row(name: str, leaf: Leaf | None, required: tuple[int, ...] | None) -> tuple[str, ...]:
    if leaf is None:
        return (name, _shape(required), "missing", "", "", "", "")
    state = (
        "extra"
        if required is None
        else "found"
        if leaf.shape == required
        else f"expected {_shape(required)}"
    )
    return (name, _shape(leaf.shape), state, *_statistics(leaf))


def _shape(shape: tuple[int, ...] | None) -> str:
    return " x ".join(map(str, shape)) if shape else "scalar"


def _statistics(leaf: Leaf) -> tuple[str, ...]:
    if leaf.dtype not in DTYPES or 0 in leaf.shape:
        return (leaf.dtype, "", "", "")
    array = np.asarray(leaf.read())
    with np.errstate(all="ignore"):  # infinities warn
        wide = array.astype(np.float32 if array.dtype.itemsize < 8 else np.float64, copy=False)
        values = (wide.mean(dtype=np.float64), wide.std(dtype=np.float64), wide.min(), wide.max())
    return tuple(f"{value:.4g}" for value in values)
