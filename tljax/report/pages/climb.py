"""The ladder as a picture in HTML: accuracy of each rung, and the difference from the one before.

Made of text and boxes, so that it fills a wide screen, stacks on a narrow one, and is dark in the
dark.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tljax.report.pages.sections import small_print
from tljax.report.pages.text import escape
from tljax.report.pictures import style
from tljax.report.tables import paired, table
from tljax.report.tables.paired import Difference
from tljax.runs.predictions import Predictions
from tljax.runs.results import by_rung

TICKS = 5  # steps along an axis, at most


@dataclass(frozen=True)
class Axis:
    """A horizontal axis in percent or points."""

    low: float
    high: float

    def place(self, value: float) -> str:
        """Return where a value lies, in percent of the width."""
        return f"{100 * (value - self.low) / (self.high - self.low):.2f}%"

    def ticks(self) -> list[int]:
        """List whole numbers along the axis, a step apart."""
        width = self.high - self.low
        step = next(s for s in (1, 2, 5, 10, 20, 50, 100) if width / s <= TICKS or s == 100)
        return list(range(math.ceil(self.low / step) * step, math.floor(self.high) + 1, step))


def section(results: dict, predictions: Mapping[str, Predictions], *, split: str) -> list[str]:
    """Draw the rungs in the order climbed, with paired differences beside them."""
    rungs = by_rung(results)
    if not rungs:
        return []
    pairs = paired.differences(results, predictions)
    beside = {pair.rung: pair for pair in pairs if pair.against == _before(pair.rung, rungs)}
    others = [pair for pair in pairs if pair not in beside.values()]
    across, points = _accuracy_axis(rungs, split), _points_axis(pairs)
    lines = [_head(split, paired=bool(pairs))]
    for rung, rows in rungs.items():
        lines.append(
            f'<div class="rung">{_accuracy(rung, rows, across, split)}'
            f"{_difference(beside.get(rung), points) if pairs else ''}</div>"
        )
    lines += [
        f'<div class="rung"><div></div><div></div>{_difference(pair, points, named=True)}</div>'
        for pair in others
    ]
    axes = f'<div class="rung axes"><div></div>{_labels(across, " %")}'
    lines.append(axes + ("<div></div>" + _labels(points, "") if pairs else "") + "</div>")
    kind = "climb paired" if pairs else "climb"
    return ["<h2>The ladder</h2>", f'<div class="{kind}">', *lines, "</div>", _note(pairs, split)]


def _before(rung: str, rungs: Mapping[str, list[dict]]) -> str | None:
    names = list(rungs)
    place = names.index(rung)
    return names[place - 1] if place else None


def _accuracy_axis(rungs: Mapping[str, list[dict]], split: str) -> Axis:
    values = []
    for rows in rungs.values():
        interval = table.accuracy(rows, split=split)[1]
        values += [100 * row[split]["accuracy"] for row in rows]
        values += [100 * interval.low, 100 * interval.high] if interval else []
    return Axis(*style.percent_limits([value for value in values if np.isfinite(value)]))


def _points_axis(pairs: Sequence[Difference]) -> Axis:
    ends = [100 * end for pair in pairs for end in (pair.interval.low, pair.interval.high)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    margin = 0.05 * (high - low) or 1.0
    return Axis(low - margin, high + margin)


def _head(split: str, *, paired: bool) -> str:
    more = "<div>from the rung before, points</div><div></div>" if paired else ""
    return f'<div class="rung heads"><div></div><div>{split} accuracy</div>{more}</div>'


def _accuracy(rung: str, rows: list[dict], axis: Axis, split: str) -> str:
    average, interval = table.accuracy(rows, split=split)
    marked = table.marked(rung, rows)
    marks = marked[len(rung) :]
    name = f"<b>{escape(rung)}</b>" + (f'<b class="alarm">{escape(marks)}</b>' if marks else "")
    ends = f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]" if interval else ""
    shown = [100 * row[split]["accuracy"] for row in rows]
    seeds = [value for value in shown if np.isfinite(value)]
    boxes = [_bar(axis, 100 * interval.low, 100 * interval.high, "held")] if interval else []
    boxes += [f'<i class="mean" style="left:{axis.place(100 * average)}"></i>'] * (
        len(seeds) == len(shown)
    )
    boxes += [
        f'<i class="dot" style="left:{axis.place(value)};top:{50 + 30 * height:.0f}%"></i>'
        for value, height in zip(seeds, _spread(len(seeds)), strict=True)
        if len(shown) > 1
    ]
    text = f"<span>{table.percent(average)} <small>{ends}</small></span>"
    return f'<div class="name">{name}{text}</div>{_track(axis, boxes)}'


def _difference(pair: Difference | None, axis: Axis, *, named: bool = False) -> str:
    if pair is None:
        return "<div></div><div></div>"
    low, high, value = (100 * x for x in (pair.interval.low, pair.interval.high, pair.value))
    kind = "held" if pair.shown else "none"
    boxes = [
        f'<i class="zero" style="left:{axis.place(0)}"></i>',
        _bar(axis, low, high, kind),
        f'<i class="mean" style="left:{axis.place(value)}"></i>',
    ]
    over = f"{pair.rung} against {pair.against}"
    about = over if named else f"against {pair.against}"
    p = "" if pair.p is None else f"; p {paired.written(pair.p)}"
    same = low == high == 0
    text = "the same on each" if same else f"<b>{value:+.1f}</b> [{low:.1f}, {high:.1f}]"
    said = f'<div class="{kind}" title="{escape(over + p)}">{text}'
    return f"{said} <small>{escape(about)}</small></div>{_track(axis, boxes)}"


def _bar(axis: Axis, low: float, high: float, kind: str) -> str:
    width = f"{100 * (high - low) / (axis.high - axis.low):.2f}%"
    return f'<i class="bar {kind}" style="left:{axis.place(low)};width:{width}"></i>'


def _track(axis: Axis, boxes: Sequence[str]) -> str:
    ticks = "".join(f'<i class="tick" style="left:{axis.place(t)}"></i>' for t in axis.ticks())
    return f'<div class="track" aria-hidden="true">{ticks}{"".join(boxes)}</div>'


def _labels(axis: Axis, unit: str) -> str:
    texts = "".join(
        f'<span style="left:{axis.place(tick)}">{tick}{unit}</span>' for tick in axis.ticks()
    )
    return f'<div class="track labels" aria-hidden="true">{texts}</div>'


def _spread(count: int) -> np.ndarray:
    return np.linspace(-1, 1, count) if count > 1 else np.zeros(count)


def _note(pairs: Sequence[Difference], split: str) -> str:
    about = "Line: mean; dots, where there are several: seeds; orange: 95 % interval."
    if pairs:
        about += f" Right: {paired.basis(pairs, split)} Grey: no difference shown."
    return small_print(about)
