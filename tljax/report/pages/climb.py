"""The ladder as a picture in HTML: the score of each rung, and the difference from the one before.

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
from tljax.tasks.known import of_results
from tljax.tasks.task import Measure

TICKS = 5  # steps along an axis, at most


@dataclass(frozen=True)
class Axis:
    """A horizontal axis, of scores or of differences."""

    low: float
    high: float

    def place(self, value: float) -> str:
        """Return where a value lies, in percent of the width."""
        return f"{100 * (value - self.low) / (self.high - self.low):.2f}%"

    def ticks(self) -> list[str]:
        """List round numbers along the axis, a step of 1, 2 or 5 of some power of ten apart."""
        least = (self.high - self.low) / TICKS
        power = 10.0 ** math.floor(math.log10(least))
        step = next(s * power for s in (1, 2, 5, 10) if s * power >= 0.999999 * least)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [f"{i * step:.10g}" for i in range(first, last + 1)]


def section(results: dict, predictions: Mapping[str, Predictions], *, split: str) -> list[str]:
    """Draw the rungs in the order climbed, with paired differences beside them."""
    rungs = by_rung(results)
    if not rungs:
        return []
    pairs = paired.differences(results, predictions)
    beside = {pair.rung: pair for pair in pairs if pair.against == _before(pair.rung, rungs)}
    others = [pair for pair in pairs if pair not in beside.values()]
    measure = table.measure_of(results)
    across, points = _score_axis(rungs, split, measure), _points_axis(pairs, measure)
    lines = [_head(split, measure, paired=bool(pairs))]
    for rung, rows in rungs.items():
        lines.append(
            f'<div class="rung">{_score(rung, rows, across, split, measure)}'
            f"{_difference(beside.get(rung), points) if pairs else ''}</div>"
        )
    lines += [
        f'<div class="rung"><div></div><div></div>{_difference(pair, points, named=True)}</div>'
        for pair in others
    ]
    axes = f'<div class="rung axes"><div></div>{_labels(across, measure.unit)}'
    lines.append(axes + ("<div></div>" + _labels(points, "") if pairs else "") + "</div>")
    kind = "climb paired" if pairs else "climb"
    note = of_results(results).worded(_note(rungs, pairs, split))
    return ["<h2>The ladder</h2>", f'<div class="{kind}">', *lines, "</div>", note]


def _before(rung: str, rungs: Mapping[str, list[dict]]) -> str | None:
    names = list(rungs)
    place = names.index(rung)
    return names[place - 1] if place else None


def _score_axis(rungs: Mapping[str, list[dict]], split: str, measure: Measure) -> Axis:
    values, scale = [], measure.scale
    for rows in rungs.values():
        interval = table.score(rows, measure, split=split)[1]
        values += [scale * row[split][measure.name] for row in rows]
        values += [scale * interval.low, scale * interval.high] if interval else []
    return Axis(*style.limits([value for value in values if np.isfinite(value)], measure))


def _points_axis(pairs: Sequence[Difference], measure: Measure) -> Axis:
    ends = [
        measure.scale * end for pair in pairs for end in (pair.interval.low, pair.interval.high)
    ]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    margin = 0.05 * (high - low) or 1.0
    return Axis(low - margin, high + margin)


def _head(split: str, measure: Measure, *, paired: bool) -> str:
    unit = f", {measure.points}" if measure.points == "points" else ""
    more = f"<div>from the rung before{unit}</div><div></div>" if paired else ""
    return f'<div class="rung heads"><div></div><div>{split} {measure.name}</div>{more}</div>'


def _score(rung: str, rows: list[dict], axis: Axis, split: str, measure: Measure) -> str:
    average, interval = table.score(rows, measure, split=split)
    scale, number = measure.scale, measure.number
    marked = table.marked(rung, rows)
    marks = marked[len(rung) :]
    name = f"<b>{escape(rung)}</b>" + (f'<b class="alarm">{escape(marks)}</b>' if marks else "")
    ends = f"[{number(interval.low)}, {number(interval.high)}]" if interval else ""
    shown = [scale * row[split][measure.name] for row in rows]
    seeds = [value for value in shown if np.isfinite(value)]
    boxes = [_bar(axis, scale * interval.low, scale * interval.high, "held")] if interval else []
    boxes += [f'<i class="mean" style="left:{axis.place(scale * average)}"></i>'] * (
        len(seeds) == len(shown)
    )
    boxes += [
        f'<i class="dot" style="left:{axis.place(value)};top:{50 + 30 * height:.0f}%"></i>'
        for value, height in zip(seeds, _spread(len(seeds)), strict=True)
        if len(shown) > 1
    ]
    text = f"<span>{measure.shown(average)} <small>{ends}</small></span>"
    return f'<div class="name">{name}{text}</div>{_track(axis, boxes)}'


def _difference(pair: Difference | None, axis: Axis, *, named: bool = False) -> str:
    if pair is None:
        return "<div></div><div></div>"
    scale, digits = pair.measure.scale, pair.measure.digits
    low, high, value = (scale * x for x in (pair.interval.low, pair.interval.high, pair.value))
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
    text = (
        "the same on each"
        if same
        else (f"<b>{value:+.{digits}f}</b> [{low:.{digits}f}, {high:.{digits}f}]")
    )
    said = f'<div class="{kind}" title="{escape(over + p)}">{text}'
    return f"{said} <small>{escape(about)}</small></div>{_track(axis, boxes)}"


def _bar(axis: Axis, low: float, high: float, kind: str) -> str:
    width = f"{100 * (high - low) / (axis.high - axis.low):.2f}%"
    return f'<i class="bar {kind}" style="left:{axis.place(low)};width:{width}"></i>'


def _track(axis: Axis, boxes: Sequence[str]) -> str:
    ticks = "".join(
        f'<i class="tick" style="left:{axis.place(float(t))}"></i>' for t in axis.ticks()
    )
    return f'<div class="track" aria-hidden="true">{ticks}{"".join(boxes)}</div>'


def _labels(axis: Axis, unit: str) -> str:
    texts = "".join(
        f'<span style="left:{axis.place(float(tick))}">{tick}{unit}</span>' for tick in axis.ticks()
    )
    return f'<div class="track labels" aria-hidden="true">{texts}</div>'


def _spread(count: int) -> np.ndarray:
    return np.linspace(-1, 1, count) if count > 1 else np.zeros(count)


def _note(rungs: Mapping[str, list[dict]], pairs: Sequence[Difference], split: str) -> str:
    several = max(map(len, rungs.values())) > 1
    about = "Line: mean; dots: seeds; " if several else "Line: the one seed; "
    about += "orange: 95 % interval."
    if pairs:
        about += f" Differences: {paired.basis(pairs, split)} Grey: no difference shown."
    return small_print(about)
