"""Sheets about a trained network: what its decisions rest on, and which photographs are alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from tljax.data import ImageSet
from tljax.data.augment import Augment, augment_batch
from tljax.data.draws import augment_keys
from tljax.inside import attribution, layers, similar
from tljax.inside.net import Net, in_batches
from tljax.report.inside import maps
from tljax.report.inside.layout import RIGHT, WRONG, Row, Tile, sheet
from tljax.report.pictures.style import short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 5  # places along a map, at least, for Grad-CAM to tell parts of a photograph apart


@dataclass(frozen=True)
class Photos:
    """Photographs to be explained, uint8 `[N, size, size, 3]`, with their names."""

    images: np.ndarray
    names: tuple[str, ...]


def cam_layer(net: Net) -> str:
    """Name the last layer with parameters whose map has at least 5 x 5 places.

    On larger photographs that is the last convolution of all, as published.
    """
    names = layers.with_parameters(net)
    wide = [name for name in names if layers.side(net, name) >= SIDE]
    return (wide or names)[-1]


def grad_cam(net: Net, photos: Photos, *, layer: str | None = None) -> "Figure":
    """Explain each photograph by Grad-CAM of its two likeliest classes and by integrated gradients.

    A row holds the photograph, Grad-CAM for both classes, and integrated gradients for the
    likeliest.
    """
    layer = layer or cam_layer(net)
    likely = probabilities(net, photos.images)
    order = np.argsort(-likely, axis=1, kind="stable")[:, :2]
    cams = [
        attribution.grad_cam(net, photos.images, order[:, place], layer=layer) for place in (0, 1)
    ]
    paths = attribution.integrated_gradients(net, photos.images, order[:, 0], baseline=128.0).sum(
        -1
    )
    rows = []
    for i, (image, name) in enumerate(zip(photos.images, photos.names, strict=True)):
        largest = float(max(cam[i].max() for cam in cams))
        best, second = order[i]
        tiles = [Tile(image, short(name, 22))]
        for cam, chosen in zip(cams, (best, second), strict=True):
            tile_caption = f"for {short(net.classes[chosen], 12)}, {likely[i, chosen]:.0%}"
            tiles.append(Tile(maps.overlay(image, cam[i], largest=largest), tile_caption))
        tiles.append(Tile(maps.signed(paths[i]), f"pixels for {short(net.classes[best], 10)}"))
        rows.append(Row(tiles))
    caption = (
        f"Grad-CAM of {layer}, both classes on one scale. Right: integrated gradients from grey; "
        "vermilion speaks\nfor the class, blue against it."
    )
    return sheet(f"{net.rung}: where it looks", caption, _two_abreast(rows))


def top_losses(net: Net, split: ImageSet, *, count: int = 18, columns: int = 6) -> "Figure":
    """Show the validation photographs with the highest losses, worst first."""
    worst, losses = similar.top_losses(net, split.images, split.labels, count=count)
    likely = probabilities(net, split.images[np.sort(worst)])[np.argsort(np.argsort(worst))]
    tiles = []
    for example, loss, row in zip(worst, losses, likely, strict=True):
        truth, guess = int(split.labels[example]), int(row.argmax())
        text = f"{short(net.classes[guess], 12)} {row[guess]:.0%}\n"
        text += f"is {short(net.classes[truth], 12)}, loss {loss:.2f}"
        tiles.append(Tile(split.images[example], text, RIGHT if truth == guess else WRONG))
    caption = (
        f"Of {len(split.labels)} validation photographs. Below each: what it said, and what it is."
    )
    return sheet(f"{net.rung}: highest losses", caption, _wrapped(tiles, columns))


def neighbours(
    net: Net, photos: Photos, train: ImageSet, *, count: int = 7, layer: str | None = None
) -> "Figure":
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
        answer = f"says {short(net.classes[guess], 10)} {likely[i, guess]:.0%}"
        tiles = [Tile(image, f"{short(photos.names[i], 16)}\n{answer}")]
        for row, value in zip(rows[i], near[i], strict=True):
            label = int(train.labels[row])
            text = f"{short(net.classes[label], 14)}\n{value:.2f}"
            tiles.append(Tile(train.images[row], text, RIGHT if label == guess else WRONG))
        lines.append(Row(tiles))
    caption = (
        f"Left: the photograph. Then the nearest of training in the mean of {layer}, "
        "and their cosine;\nvermilion: of another class than the network says."
    )
    return sheet(f"{net.rung}: nearest neighbours", caption, lines)


def augmented(net: Net, photos: Photos, ranges: Augment, *, count: int = 7) -> "Figure":
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
    return sheet(f"{net.rung}: augmented photographs", caption, rows)


def probabilities(net: Net, images: np.ndarray) -> np.ndarray:
    """Compute float32 `[N, classes]` probabilities."""

    def program(params, batch):
        logits = net.run(batch, params)[0]
        logits = jnp.concatenate([-logits, logits], -1) / 2 if logits.shape[-1] == 1 else logits
        return jax.nn.softmax(logits)

    return in_batches(program, net.params, images)


def _two_abreast(rows: Sequence[Row]) -> list[Row]:
    pairs = [rows[i : i + 2] for i in range(0, len(rows), 2)]
    return [
        Row([tile for row in pair for tile in row.tiles], split=len(pair[0].tiles))
        for pair in pairs
    ]


def _wrapped(tiles: list[Tile], columns: int) -> list[Row]:
    return [Row(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
