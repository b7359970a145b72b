"""How well each block's features fit a task, in a picture: LogME, H-score and CKA by depth."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tljax.report.pictures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIT = (
    "LogME",
    "H-score",
    "CKA with classes",
)  # higher is better; CKA with another base says how far it moved
Scores = Mapping[str, Mapping[str, float]]  # layer -> measure -> value


def write_transferability(name: str, scores: Scores, *, workdir: Path) -> Path:
    """Draw `transferability.png`: a row for each measure.

    The highest value is marked where higher is better.
    """
    measures = list(next(iter(scores.values())))
    figure = style.new_figure(width=5.6, height=1.0 + 1.25 * len(measures))
    height = figure.get_figheight()
    caption = "Pooled features after each block, before training. Vermilion: the best fit."
    style.title(figure, f"{name}: what the base knows", caption)
    for place, measure in enumerate(measures):
        bottom = 0.45 + 1.25 * (len(measures) - 1 - place)
        ax = figure.add_axes((0.12, bottom / height, 0.8, 0.78 / height))
        _line(ax, measure, {layer: row[measure] for layer, row in scores.items()})
        ax.tick_params(labelbottom=place == len(measures) - 1)
    return style.save(figure, workdir / "transferability.png")


def suggestion(scores: Scores) -> str:
    """Suggest from which block to unfreeze, in one sentence, by LogME.

    It adds the H-score's block where that differs.
    """
    layers = list(scores)
    blocks = [layer.split("_")[0] for layer in layers]
    best, other = (
        max(range(len(layers)), key=lambda i, measure=measure: scores[layers[i]][measure])
        for measure in ("LogME", "H-score")
    )
    if best == len(layers) - 1:
        advice = "the last: train a head first, unfreeze if it falls short."
    else:
        following = blocks[best + 1]
        advice = f"not the last: keep the base frozen up to it, and unfreeze from {following} on."
    doubt = "" if other == best else f" By the H-score it is {blocks[other]}: try both."
    return f"LogME is highest after {blocks[best]}, {advice}{doubt}"


def _line(ax: "Axes", measure: str, values: Mapping[str, float]) -> None:
    numbers = list(values.values())
    ax.plot(
        range(len(numbers)),
        numbers,
        "o-",
        color=style.COLOURS["train"],
        linewidth=1.8,
        markersize=4,
    )
    best = max(range(len(numbers)), key=numbers.__getitem__)
    if measure in FIT:
        ax.plot(best, numbers[best], "o", color=style.COLOURS["validation"], markersize=7)
    for place, number in enumerate(numbers):
        ax.annotate(
            f"{number:.3f}",
            (place, number),
            (0, 7),
            textcoords="offset points",
            size=8,
            ha="center",
        )
    room = max(max(numbers) - min(numbers), 1e-6)
    ax.set_ylim(min(numbers) - 0.2 * room, max(numbers) + 0.45 * room)
    ax.set_xlim(-0.4, len(numbers) - 0.6)
    ax.set_xticks(range(len(numbers)), [layer.split("_")[0] for layer in values])
    ax.set_title(measure, loc="left", size=9.5, color=style.INK, pad=6)
    ax.yaxis.set_visible(False)
    style.strip(ax)
