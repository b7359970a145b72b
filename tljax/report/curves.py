"""Pictures of a run: loss and accuracy against epoch for each rung, and the whole ladder in one plot."""

import io
import json
import os
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tljax.errors import InputError
from tljax.report import stats, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Series = dict[str, np.ndarray]  # "epoch" i64 [E] and "train/loss", "validation/accuracy", ... f64 [E]

DPI = 110
INK, FAINT, RULE = "#222222", "#666666", "#dddddd"
# Blue and vermilion of Okabe and Ito (2008): told apart under every common colour blindness, and in grey.
COLOURS = {"train": "#0072b2", "validation": "#d55e00"}
LADDER_CAPTION = "Dot: one seed. Tick: mean. Bar: 95 % interval (blue over seeds, orange over images)."
LABEL_GAP = 0.18  # of a panel's height: two lines of text
NAMES = {"train": "training", "validation": "validation"}


def read_metrics(path: Path) -> dict[str, dict[int, Series]]:
    """Rung -> seed -> series in order of epoch; rungs in file order.

    A repeated (rung, seed, epoch) counts once, the last: a resumed run appends to the same file.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{path}: expected a readable file: {error.strerror}") from None
    rungs: dict[str, dict[int, dict[int, dict]]] = {}
    for at, line in enumerate(lines, start=1):
        if line.strip():
            rung, seed, epoch, values = _record(line, where=f"{path}: line {at}")
            rungs.setdefault(rung, {}).setdefault(seed, {})[epoch] = values
    return {rung: {seed: _series(by_epoch) for seed, by_epoch in seeds.items()} for rung, seeds in rungs.items()}


def curves_name(rung: str) -> str:
    """File name of a rung's picture; whatever no file name should hold is percent-encoded."""
    return f"curves_{urllib.parse.quote(rung, safe=' +=,@')}.png"


def write_curves(rung: str, seeds: Mapping[int, Series], *, workdir: Path) -> Path:
    """Loss above accuracy against epoch: a thin line per seed, their mean, a band from lowest to highest."""
    figure = _figure(width=5.0, height=5.3)
    axes = figure.subplots(2, 1, sharex=True, gridspec_kw={"hspace": 0.2})
    figure.subplots_adjust(left=0.11, right=0.81, top=0.815, bottom=0.09)
    _title(figure, rung, _curves_caption(seeds))
    for ax, metric in zip(axes, ("loss", "accuracy"), strict=True):
        _panel(ax, seeds, metric)
    axes[1].set_xlabel("epoch", size=9.5, color=INK)
    _epoch_axis(axes[1], np.concatenate([series["epoch"] for series in seeds.values()]))
    return _save(figure, workdir / curves_name(rung))


def write_ladder(results: dict, *, workdir: Path) -> Path:
    """Validation accuracy of every rung: a dot per seed, a tick at the mean, a bar over the 95 % interval."""
    rungs = table.by_rung(results)
    figure = _figure(width=5.6, height=1.35 + 0.62 * len(rungs))
    height = figure.get_figheight()
    ax = figure.add_axes((0.04, 0.52 / height, 0.92, 1 - (0.52 + 0.72) / height))
    _title(figure, "Validation accuracy", LADDER_CAPTION)
    shown = []
    for place, (rung, rows) in enumerate(rungs.items()):
        shown += _rung(ax, rung, rows, place)
    ax.set_xlim(_percent_limits(shown))
    ax.xaxis.set_major_formatter("{x:.0f} %")
    ax.set_ylim(len(rungs) - 0.6, -0.75)
    ax.yaxis.set_visible(False)
    ax.grid(axis="x", color=RULE, linewidth=0.7)
    _strip(ax)
    return _save(figure, workdir / "ladder.png")


def write_atomically(path: Path, data: bytes) -> Path:
    """The whole file or none of it: written beside its place under another name, then moved."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _record(line: bytes, *, where: str) -> tuple[str, int, int, dict[str, float]]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where}: expected a JSON object: {error}") from None
    if not isinstance(record, dict):
        raise InputError(f"{where}: expected a JSON object, found {type(record).__name__}")
    values = {}
    for split in COLOURS:
        scores = table.typed(record, split, dict, where)
        values |= {f"{split}/{m}": table.number(scores, m, f"{where}: {split}") for m in ("loss", "accuracy")}
    rung, seed, epoch = (table.typed(record, *field, where) for field in (("rung", str), ("seed", int), ("epoch", int)))
    return rung, seed, epoch, values


def _series(by_epoch: dict[int, dict[str, float]]) -> Series:
    epochs = sorted(by_epoch)
    names = by_epoch[epochs[0]]
    return {"epoch": np.array(epochs)} | {n: np.array([by_epoch[e][n] for e in epochs]) for n in names}


def _figure(*, width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: "Figure", path: Path) -> Path:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DPI)
    return write_atomically(path, data.getvalue())


def _title(figure: "Figure", title: str, caption: str) -> None:
    # Names are the user's: without parse_math=False a "$" in one would be read as TeX.
    style = {"va": "top", "parse_math": False}
    height = figure.get_figheight()
    figure.text(0.04, 1 - 0.13 / height, _short(title, 48), size=12, weight="bold", color=INK, **style)
    figure.text(0.04, 1 - 0.39 / height, caption, size=8.5, color=FAINT, linespacing=1.4, **style)


def _short(name: str, length: int) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"


def _curves_caption(seeds: Mapping[int, Series]) -> str:
    many = f"{len(seeds)} seeds. Thick: their mean; thin: each seed; band: lowest to highest."
    return "\n".join([many if len(seeds) > 1 else f"One run, seed {next(iter(seeds))}.", *_remarks(seeds)])


def _remarks(seeds: Mapping[int, Series]) -> list[str]:
    """One line on what the picture cannot show: seeds that stopped early, and values that are not finite."""
    last = max(series["epoch"][-1] for series in seeds.values())
    remarks = [f"seed {s} ends at epoch {x['epoch'][-1]}" for s, x in seeds.items() if x["epoch"][-1] < last]
    for seed, series in seeds.items():
        gaps = series["epoch"][~np.isfinite([series[name] for name in series]).all(axis=0)]
        if len(gaps):
            others = f" and {len(gaps) - 1} more" if len(gaps) > 1 else ""
            remarks.append(f"seed {seed} not finite at epoch {gaps[0]}{others}")
    shown = remarks if len(remarks) <= 2 else [remarks[0], f"{len(remarks) - 1} more remarks on seeds"]
    return ["; ".join(shown)] if remarks else []


def _panel(ax: "Axes", seeds: Mapping[int, Series], metric: str) -> None:
    labels, shown = [], []
    for split, colour in COLOURS.items():
        epochs, values = stats.together(seeds, f"{split}/{metric}")
        values = values * (100 if metric == "accuracy" else 1)
        shown.append(values[np.isfinite(values)])
        # The mean of the seeds that are left would jump where one stops or diverges: all of them or no mean.
        average = values.mean(axis=0)
        marker = "o" if len(epochs) <= 12 else None
        ax.plot(epochs, average, color=colour, marker=marker, markersize=3.2, linewidth=2, zorder=3)
        if len(seeds) > 1:
            ax.plot(epochs, values.T, color=colour, marker=marker, markersize=1.8, linewidth=0.7, alpha=0.45)
            band = values.min(axis=0), values.max(axis=0)
            ax.fill_between(epochs, *band, color=colour, alpha=0.12, linewidth=0)
        labels.append((split, average, values))
    if metric == "accuracy":
        ax.set_ylim(_percent_limits(np.concatenate(shown)))
        ax.yaxis.set_major_formatter("{x:.0f} %")
    else:
        _loss_axis(ax, np.concatenate(shown))
    ax.set_title(metric, loc="left", size=9.5, color=INK, pad=7)
    ax.grid(axis="y", color=RULE, linewidth=0.7)
    _strip(ax)
    _end_labels(ax, labels, unit=" %" if metric == "accuracy" else "")


def _end_labels(ax: "Axes", lines: Sequence[tuple[str, np.ndarray, np.ndarray]], *, unit: str) -> None:
    """Each split's name and last mean beside the end of its line, moved apart where they would overlap."""
    low, high = ax.get_ylim()
    ends = []
    for split, average, values in lines:
        finite = values.T[np.isfinite(values.T)]
        if len(finite):
            value = f"\n{average[-1]:.{1 if unit else 3}f}{unit}" if np.isfinite(average[-1]) else ""
            height = (average[-1] if value else finite[-1]) - low
            ends.append([min(max(height / (high - low), 0.0), 1.0), NAMES[split] + value, COLOURS[split]])
    ends.sort()
    if len(ends) == 2 and ends[1][0] - ends[0][0] < LABEL_GAP:
        middle = min(max((ends[0][0] + ends[1][0]) / 2, LABEL_GAP / 2), 1 - LABEL_GAP / 2)
        ends[0][0], ends[1][0] = middle - LABEL_GAP / 2, middle + LABEL_GAP / 2
    for height, text, colour in ends:
        ax.text(1.02, height, text, color=colour, size=9, va="center", transform=ax.transAxes)
    if not ends:
        ax.text(0.5, 0.5, "no finite values", color=FAINT, ha="center", transform=ax.transAxes)


def _loss_axis(ax: "Axes", values: np.ndarray) -> None:
    """From 0 to the highest loss, or, where a few values dwarf the rest, below them and saying so."""
    top = values.max(initial=0.0) or 1.0
    usual = 3 * float(np.percentile(values, 90)) if len(values) else 1.0
    if top > usual > 0:
        style = {"color": FAINT, "size": 8, "ha": "right", "va": "top", "backgroundcolor": "white"}
        ax.text(0.99, 0.97, f"off the scale: up to {top:.3g}", transform=ax.transAxes, **style)
        top = usual
    ax.set_ylim(0, 1.05 * top)


def _percent_limits(percents: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Whole tens around the values, at least 20 points apart, within 0 to 100 % and a hair more."""
    low, high = (min(percents), max(percents)) if len(percents) else (0.0, 100.0)
    low, high = max(0.0, 10 * ((low - 1) // 10)), min(100.0, 10 * ((high + 1) // 10 + 1))
    low, high = (low, high) if high - low >= 20 else (max(0.0, high - 20), max(20.0, high))
    # Without the hair, a line along 0 or 100 % would be cut in half by the frame.
    margin = 0.02 * (high - low)
    return low - margin, high + margin


def _epoch_axis(ax: "Axes", epochs: np.ndarray) -> None:
    from matplotlib.ticker import MaxNLocator

    low, high = epochs.min(), epochs.max()
    margin = 0.02 * (high - low) or 0.5
    ax.set_xlim(low - margin, high + margin)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True))
    if low == high:
        ax.set_xticks([low])


def _strip(ax: "Axes") -> None:
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(FAINT)
    ax.tick_params(colors=INK, labelsize=9, length=0, pad=5)


def _rung(ax: "Axes", rung: str, rows: Sequence[dict], place: int) -> list[float]:
    """Draws one rung at height `place`; returns what it has drawn, in percent, for the axis."""
    average, interval = table.accuracy(rows)
    percents = [100 * row["validation"]["accuracy"] for row in rows]
    seeds = [percent for percent in percents if np.isfinite(percent)]
    ends = [100 * interval.low, 100 * interval.high] if interval else []
    if interval:
        colour = COLOURS["train" if interval.over == "seeds" else "validation"]
        ax.plot(ends, [place, place], color=colour, linewidth=9, alpha=0.25, solid_capstyle="butt")
    if np.isfinite(average):
        ax.plot([100 * average] * 2, [place - 0.17, place + 0.17], color=INK, linewidth=1.6, zorder=4)
    spread = np.linspace(-0.06, 0.06, len(seeds)) if len(seeds) > 1 else np.zeros(len(seeds))
    ax.plot(seeds, place + spread, "o", markersize=4.2, color=INK, alpha=0.65, markeredgewidth=0, zorder=5)
    style = {"transform": ax.get_yaxis_transform(), "va": "bottom", "parse_math": False}
    style["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    ax.text(0, place - 0.26, _short(rung, 26), size=9.5, weight="bold", color=INK, **style)
    note = f"{table.percent(average)}   {table.interval_text(interval)}"
    ax.text(1, place - 0.26, note, size=8.5, color=FAINT, ha="right", **style)
    return seeds + ends
