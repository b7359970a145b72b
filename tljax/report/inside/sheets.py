"""Sheets about a trained network: what its decisions rest on, and which photographs are alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from tljax.data import ImageSet
from tljax.data.augment import Augment, augment_batch
from tljax.data.draws import augment_keys
from tljax.inside import attribution, layers, similar
from tljax.inside.net import Net, in_batches
from tljax.report.inside import maps
from tljax.report.inside.layout import RIGHT, WRONG, Row, Sheet, Tile
from tljax.report.pictures.style import short
from tljax.report.stats import scores

SIDE = 2  # places along a map, at least, to tell parts of a photograph apart
STEPS = 24  # of integrated gradients: a picture needs no more
BLUR = 32  # pictures' sides to a deviation of the blur of integrated gradients


@dataclass(frozen=True)
class Photos:
    """Photographs to be explained, uint8 `[N, size, size, 3]`, with their names."""

    images: np.ndarray
    names: tuple[str, ...]


def cam_layer(net: Net) -> str:
    """Name the layer whose maps show evidence: the last with parameters, a convolution.

    Between it and the logit lies little more than the head, so that what a place adds to the logit
    can be told. One whose map is a single place is passed over.
    """
    names = layers.with_parameters(net)
    wide = [name for name in names if layers.side(net, name) >= SIDE]
    return (wide or names)[-1]


def grad_cam(net: Net, photos: Photos, *, layer: str | None = None) -> Sheet:
    """Explain each photograph by HiResCAM of its two likeliest classes and integrated gradients.

    A row holds the photograph, the maps of both classes, and integrated gradients for the
    likeliest.
    """
    layer = layer or cam_layer(net)
    likely = probabilities(net, photos.images)
    order = np.argsort(-likely, axis=1, kind="stable")[:, :2]
    twice = np.concatenate([photos.images, photos.images])  # one program for both classes
    cams = np.split(attribution.hires_cam(net, twice, order.T.ravel(), layer=layer), 2)
    paths = attribution.integrated_gradients(
        net, photos.images, order[:, 0], baseline=128.0, steps=STEPS
    ).sum(-1)
    rows = []
    for i, (image, name) in enumerate(zip(photos.images, photos.names, strict=True)):
        largest = float(max(cam[i].max() for cam in cams))
        best, second = order[i]
        tiles = [Tile(image, short(name, 18))]
        for cam, chosen in zip(cams, (best, second), strict=True):
            tile_caption = f"for {short(net.classes[chosen], 10)} {_percent(likely[i, chosen])}"
            tiles.append(Tile(maps.overlay(image, cam[i], largest=largest), tile_caption))
        pixels = maps.signed(paths[i], blur=net.side / BLUR)
        tiles.append(Tile(pixels, f"pixels for {short(net.classes[best], 8)}"))
        rows.append(Row(tiles))
    caption = (
        f"HiResCAM of {layer}, both classes on one scale. Right: integrated gradients from grey, "
        "smoothed;\nvermilion speaks for the class, blue against it."
    )
    return Sheet(f"{net.rung}: where it looks", caption, _two_abreast(rows))


def top_losses(
    net: Net, split: ImageSet, likely: np.ndarray, *, count: int = 18, columns: int = 6
) -> Sheet:
    """Show the validation photographs that are wrong or doubtful, highest losses first.

    `likely` are their probabilities `[N, classes]`.
    """
    own = likely[np.arange(len(likely)), split.labels]
    doubtful = scores.doubtful(likely, split.labels)
    worst = doubtful[np.argsort(own[doubtful], kind="stable")][:count]
    tiles = []
    for example in worst:
        row, truth = likely[example], int(split.labels[example])
        guess, loss = int(row.argmax()), -np.log(max(own[example], np.finfo(np.float32).tiny))
        text = f"{short(net.classes[guess], 12)} {_percent(row[guess])}\n"
        text += f"is {short(net.classes[truth], 12)}, loss {loss:.2f}"
        tiles.append(Tile(split.images[example], text, RIGHT if truth == guess else WRONG))
    count_of = f"{len(doubtful):,} of {len(split.labels):,} validation photographs"
    caption = (
        f"{count_of} are wrong (red) or have less than {_percent(scores.SURE)} for their class.\n"
        "Worst first; below each: what it said, and what it is."
    )
    return Sheet(f"{net.rung}: wrong or doubtful", caption, _wrapped(tiles, columns), columns)


def neighbours(
    net: Net, photos: Photos, train: ImageSet, *, count: int = 7, layer: str | None = None
) -> Sheet:
    """Show for each photograph its nearest training photographs in the base's features, by cosine.

    Features are means over places of `layer`, by default the base's last.
    """
    layer = layer or net.architecture.names[-1]
    queries, gallery = (
        similar.pooled(net, images, layer=layer) for images in (photos.images, train.images)
    )
    rows, near = similar.neighbours(queries, gallery, count=count)
    likely = probabilities(net, photos.images)
    lines = []
    for i, image in enumerate(photos.images):
        guess = int(likely[i].argmax())
        answer = f"says {short(net.classes[guess], 10)} {_percent(likely[i, guess])}"
        tiles = [Tile(image, f"{short(photos.names[i], 16)}\n{answer}")]
        for row, value in zip(rows[i], near[i], strict=True):
            label = int(train.labels[row])
            text = f"{short(net.classes[label], 14)}\n{value:.2f}"
            tiles.append(Tile(train.images[row], text, RIGHT if label == guess else WRONG))
        lines.append(Row(tiles))
    caption = (
        f"Left: the photograph. Then the nearest of training in the mean of {layer}, "
        "and their cosine;\nred: of another class than the network says."
    )
    return Sheet(f"{net.rung}: nearest neighbours", caption, lines)


def augmented(net: Net, photos: Photos, ranges: Augment, *, count: int = 7) -> Sheet:
    """Show how the first `count` passes would augment each photograph."""
    rows = []
    for example, image in enumerate(photos.images):
        keys = augment_keys(jnp.arange(count), jnp.full(count, example))
        drawn = np.asarray(
            augment_batch(np.repeat(image[None], count, 0), keys=keys, ranges=ranges)
        )
        warped = [Tile(np.clip(np.round(x), 0, 255).astype(np.uint8)) for x in drawn]
        rows.append(Row([Tile(image, short(photos.names[example], 16)), *warped]))
    caption = "Left: the photograph. Then random warps of it, as training draws them at each pass."
    return Sheet(f"{net.rung}: augmented photographs", caption, rows)


def probabilities(net: Net, images: np.ndarray) -> np.ndarray:
    """Compute float32 `[N, classes]` probabilities."""
    return in_batches(net.classify, net.params, images)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %"


def _two_abreast(rows: Sequence[Row]) -> list[Row]:
    pairs = [rows[i : i + 2] for i in range(0, len(rows), 2)]
    return [
        Row([tile for row in pair for tile in row.tiles], split=len(pair[0].tiles))
        for pair in pairs
    ]


def _wrapped(tiles: list[Tile], columns: int) -> list[Row]:
    return [Row(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
