"""Sheets about a network's units: first-layer filters, activations, and what excites them."""

import jax
import numpy as np

from tljax.inside import excite, layers
from tljax.inside.net import Net, in_batches
from tljax.report.inside import maps
from tljax.report.inside.layout import Row, Sheet, Tile
from tljax.tree import flatten

COLUMNS = 8
Chosen = dict[str, list[int]]  # layer -> units


def chosen_units(net: Net, images: np.ndarray, *, units: int = 4, deepest: int = 2) -> Chosen:
    """Choose the units whose activation differs most between these photographs.

    They are of the deepest layers whose receptive field is smaller than the whole photograph.
    """
    shown = layers.last_of_groups(net)
    local = [name for name in shown if layers.receptive_field(net, name).size <= net.size]
    return {
        name: excite.strongest_units(net, images, layer=name, count=units)
        for name in (local or shown[:1])[-deepest:]
    }


def filters(net: Net) -> Sheet:
    """Show the kernels of the first layer; a kernel over three colours is itself a picture."""
    first = net.architecture.modules[0]
    leaves = flatten({first: net.params["base"][first]}).values()
    kernels = next(np.asarray(leaf, np.float32) for leaf in leaves if leaf.ndim == 4)
    tiles = [
        Tile(maps.kernel(kernels[..., i], bgr=net.preprocess.channels == "BGR"))
        for i in range(kernels.shape[-1])
    ]
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
        return {layer: out[f"base/{layer}"] for layer in layer_names}

    rows = []
    for layer, values in in_batches(program, net.params, image[None]).items():
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


def patches(net: Net, images: np.ndarray, chosen: Chosen) -> Sheet:
    """Show for each unit the parts of the photographs that excite it most."""
    rows = []
    for layer, units in chosen.items():
        crops, strength = excite.top_patches(net, images, layer=layer, units=units, count=COLUMNS)
        size = layers.receptive_field(net, layer).size
        for unit, tops, values in zip(units, crops, strength, strict=True):
            tiles = [Tile(crop, f"{value:.2f}") for crop, value in zip(tops, values, strict=True)]
            rows.append(Row(tiles, f"{layer}, unit {unit}: sees {size} x {size} pixels"))
    caption = (
        f"Of {len(images)} training photographs, one patch each, strongest first; "
        "below it the activation."
    )
    return Sheet(f"{net.rung}: patches that excite a unit", caption, rows, COLUMNS)


def maximised(net: Net, chosen: Chosen) -> Sheet:
    """Show for each unit the picture that gradient ascent makes for it.

    A unit that stays at 0 has none, and is named instead.
    """
    rows, silent = [], []
    for layer, units in chosen.items():
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
