"""Sheets about a network's units: first-layer filters, activations, and what excites them."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from tljax.data.preprocess import of_pixels
from tljax.inside import excite, layers
from tljax.inside.net import Net, in_batches
from tljax.report.inside import maps
from tljax.report.inside.layout import Row, Sheet, Tile
from tljax.tree import flatten

COLUMNS = 8
PLACES = 8  # along a map, at least, for its units to see parts of a photograph


@dataclass(frozen=True)
class Chosen:
    """Units of a layer, and where each photograph excites them most."""

    peaks: excite.Peaks
    units: list[int]


def chosen_units(net: Net, images: np.ndarray, *, units: int = 4, deepest: int = 2) -> list[Chosen]:
    """Choose the units whose activation differs most between these photographs.

    They are of the deepest layers whose units see less than the whole photograph.
    """
    shown = layers.last_of_groups(net)
    local = [
        name
        for name in shown
        if layers.receptive_field(net, name).size <= net.side and layers.side(net, name) >= PLACES
    ]
    found = excite.peaks(net, images, layers=(local or shown[:1])[-deepest:])
    return [Chosen(each, excite.strongest_units(each, count=units)) for each in found.values()]


def filters(net: Net) -> Sheet:
    """Show the kernels of the first layer; a kernel over three colours is itself a picture."""
    first = net.architecture.modules[0]
    leaves = flatten({first: net.params["base"][first]}).values()
    kernels = next(np.asarray(leaf, np.float32) for leaf in leaves if leaf.ndim == 4)
    bgr = of_pixels(net.preprocess, where="inside").channels == "BGR"
    tiles = [Tile(maps.kernel(kernels[..., i], bgr=bgr)) for i in range(kernels.shape[-1])]
    side = kernels.shape[0]
    caption = (
        f"{first}: {len(tiles)} kernels of {side} x {side}, each scaled by its largest weight; "
        "grey is 0."
    )
    rows = [Row(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
    return Sheet(f"{net.rung}: first-layer filters", caption, rows, COLUMNS)


def activations(net: Net, image: np.ndarray, name: str) -> Sheet:
    """Show the strongest channels of a layer of each block, for one photograph."""
    layer_names = layers.last_of_groups(net)

    def program(params, batch):
        out = net.run(batch, params)[1]
        return [out[f"base/{layer}"] for layer in layer_names]

    rows = []
    maps_of = in_batches(program, net.params, image[None])
    for layer, values in zip(layer_names, maps_of, strict=True):
        inner = values[:, *layers.within(net, layer)]
        channels = np.argsort(-inner[0].max((0, 1)), kind="stable")[: COLUMNS - 1]
        tiles = [
            Tile(maps.heat(values[0, ..., c], largest=inner[0, ..., c].max()), f"channel {c}")
            for c in channels
        ]
        height, width, depth = values.shape[1:]
        rows.append(
            Row([Tile(image, ""), *tiles], f"{layer}: {height} x {width}, {depth} channels")
        )
    caption = (
        f"{name}, left, and the channels of highest maximum within the borders, strongest first; "
        "each scaled to its own."
    )
    return Sheet(f"{net.rung}: activations", caption, rows, COLUMNS)


def patches(net: Net, images: np.ndarray, chosen: Sequence[Chosen]) -> Sheet:
    """Show for each unit the parts of the photographs that excite it most."""
    rows = []
    for each in chosen:
        layer = each.peaks.layer
        crops, strength = excite.top_patches(
            net, images, each.peaks, units=each.units, count=COLUMNS
        )
        size = layers.receptive_field(net, layer).size
        sees = f": sees {size} x {size} pixels" if net.architecture.field_of_view else ""
        for unit, tops, values in zip(each.units, crops, strength, strict=True):
            tiles = [Tile(crop, f"{value:.2f}") for crop, value in zip(tops, values, strict=True)]
            rows.append(Row(tiles, f"{layer}, unit {unit}{sees}"))
    caption = (
        f"Of {len(images)} training photographs, one patch each, strongest first; "
        "below it the activation."
    )
    return Sheet(f"{net.rung}: patches that excite a unit", caption, rows, COLUMNS)


def maximised(net: Net, chosen: Sequence[Chosen]) -> Sheet:
    """Show for each unit the picture that gradient ascent makes for it.

    A unit that stays at 0 has none, and is named instead.
    """
    rows, silent = [], []
    for layer, units in ((each.peaks.layer, each.units) for each in chosen):
        pictures, (before, after) = excite.maximise(
            net, layer=layer, units=units, key=jax.random.key(0)
        )
        silent += [f"{layer} {units[i]}" for i in np.flatnonzero((before == 0) & (after == 0))]
        tiles = [
            Tile(np.round(picture).astype(np.uint8), f"unit {unit}\n{low:.2f} to {high:.2f}")
            for picture, unit, low, high in zip(pictures, units, before, after, strict=True)
            if (low, high) != (0, 0)
        ]
        rows += [Row(tiles, layer)] if tiles else []
    caption = (
        "Gradient ascent on the mean of a channel, from grey noise; "
        "below it, that mean before and after."
    )
    caption += f"\nLeft out, at 0 throughout: unit {', '.join(silent)}." if silent else ""
    return Sheet(f"{net.rung}: pictures made for a unit", caption, rows)
