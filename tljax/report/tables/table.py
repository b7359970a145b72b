"""results.json as the ladder's table: Markdown for a page, aligned text for a terminal."""

import math
from collections import Counter
from collections.abc import Sequence

from tljax.report.stats import intervals
from tljax.runs.results import by_rung
from tljax.tasks.classification import ACCURACY
from tljax.tasks.known import of_results
from tljax.tasks.task import Measure

COLUMNS = (
    "rung",
    "trainable of total parameters",
    "images drawn",
    "validation {}",
    "95 % interval",
    "validation loss",
    "images/s",
    "seconds",
)
_ALARMS = ("collapsed", "alarm")


def score(
    rows: Sequence[dict], measure: Measure = ACCURACY, *, split: str = "validation"
) -> tuple[float, intervals.Interval | None]:
    """Compute the mean score of one rung's rows on a split, and its interval."""
    values, images = [row[split][measure.name] for row in rows], rows[0][split]["n"]
    if measure.proportion:
        return intervals.mean(values), intervals.accuracy_interval(values, images=images)
    if len(set(values)) > 1:
        within = intervals.SHARE if measure.share else intervals.REAL
        return intervals.mean(values), intervals.t_interval(values, within=within)
    ends = rows[0][split].get("intervals", {}).get(measure.name)
    return values[0], intervals.Interval(*ends, over="images", count=images) if ends else None


def measure_of(results: dict) -> Measure:
    """Return the measure by which a run's rungs are compared."""
    return of_results(results).measures[0]


def columns(results: dict) -> tuple[str, ...]:
    """List COLUMNS, with the task's other measures, and one more for a test split."""
    task = of_results(results)
    (first, *others), more = task.measures, task.extras
    tested = (f"test {first.name}",) if any("test" in row for row in results["rungs"]) else ()
    named = tuple(f"validation {each.name}" for each in (*others, *more))
    texts = (*(column.format(first.name) for column in COLUMNS[:5]), *named, *COLUMNS[5:], *tested)
    return tuple(map(task.worded, texts))


def cells(results: dict) -> list[tuple[str, ...]]:
    """Format a tuple of texts per rung, in the order of `columns`; means over the rung's seeds."""
    tested = columns(results)[-1].startswith("test ")
    task = of_results(results)
    measures = (*task.measures, *task.extras)
    texts = [
        (*_cells(name, rows, measures), *([_tested(rows, measures[0])] if tested else []))
        for name, rows in by_rung(results).items()
    ]
    return [(name, *map(task.worded, numbers)) for name, *numbers in texts]


def interval_text(interval: intervals.Interval | None, measure: Measure = ACCURACY) -> str:
    """Format an interval: '81.0 to 87.5 % over 3 seeds'."""
    if interval is None:
        return "undefined"
    ends = f"{measure.number(interval.low)} to {measure.shown(interval.high)}"
    return f"{ends} over {interval.count:,} {interval.over}"


def interval_note(results: dict) -> str:
    """Explain the intervals of this table; empty where there are none."""
    measure = measure_of(results)
    how = "Wilson score interval" if measure.proportion else "bootstrap interval"
    notes = {
        "seeds": "Over seeds: mean ± t·s/√n (Student's t, sample standard deviation s)"
        f"{', cut to 0-100 %' if measure.share else ''}.",
        "images": f"Over images: {how} of a single run, or of seeds that agree; "
        "it does not cover the choice of seed.",
    }
    kinds = {
        interval.over for rows in by_rung(results).values() if (interval := score(rows, measure)[1])
    }
    return of_results(results).worded("\n".join(notes[over] for over in notes if over in kinds))


def markdown_table(results: dict, *, differences: Sequence[str] = ()) -> str:
    """Format the ladder as Markdown, with notes on its intervals and a list of differences."""
    rows = [tuple(_markdown(cell) for cell in row) for row in cells(results)]
    rule = [":--"] + ["--:"] * (len(columns(results)) - 1)
    lines = ["| " + " | ".join(row) + " |" for row in (columns(results), rule, *rows)]
    alarm_lines = [f"\n**{_markdown(line)}**" for line in alarms(results)]
    text = "\n".join([*lines, *alarm_lines, "", interval_note(results)]).rstrip() + "\n"
    return text + "".join(
        ["\n**Differences**\n\n", *[f"- {_markdown(line)}\n" for line in differences]]
        if differences
        else []
    )


def text_table(results: dict, *, differences: Sequence[str] = ()) -> str:
    """Align the ladder for a terminal, with notes on its intervals and a list of differences."""
    head = [
        column.replace(" parameters", "").replace("validation ", "val. ")
        for column in columns(results)
    ]
    text = (
        "\n".join(
            [aligned(head, cells(results)), *alarms(results), interval_note(results)]
        ).rstrip()
        + "\n"
    )
    return text + "".join(
        ["\nDifferences\n", *[f"  {line}\n" for line in differences]] if differences else []
    )


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align a table for a terminal: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * width for width in widths]
    lines = [
        [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]
        for row in (head, rule, *rows)
    ]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def marked(name: str, rows: Sequence[dict]) -> str:
    """Name a rung with what is wrong.

    'finetune (collapsed)', 'scratch (at chance in 2 of 3 seeds)'.
    """
    counts = Counter(mark for row in rows for mark in _raised(row))
    seeds = f" of {len(rows)} seeds"
    marks = [
        mark if len(rows) == 1 else f"{mark} in {count}{seeds}" for mark, count in counts.items()
    ]
    return f"{name} ({', '.join(marks)})" if marks else name


def learnt(rows: Sequence[dict]) -> bool:
    """Tell whether any seed of a rung learnt something."""
    return any("learnt nothing" not in _raised(row) for row in rows)


def alarms(results: dict) -> list[str]:
    """Collect each rung's alarms: where, what is wrong, what was done, and advice.

    The first seed's in full; the others of the same kind are named after it.
    """
    lines = []
    for rows in by_rung(results).values():
        kinds: dict[str, list[tuple[int, str]]] = {}
        for row in rows:
            for kind, alarm in _raised(row).items():
                kinds.setdefault(kind, []).append((row["seed"], str(alarm.get("said"))))
        for (_, said), *others in kinds.values():
            seeds = f"seed{'s' if len(others) > 1 else ''} {', '.join(str(s) for s, _ in others)}"
            lines.append(f"{said} (likewise {seeds})" if others else said)
    return lines


def _raised(row: dict) -> dict[str, dict]:
    """Map what is wrong with a seed of a rung, in a word or two, to its record."""
    rows = {field: row[field] for field in _ALARMS if isinstance(row.get(field), dict)}
    raised = {}
    if "collapsed" in rows:
        nothing = rows["collapsed"].get("learnt_nothing")
        raised["learnt nothing" if nothing else "collapsed"] = rows["collapsed"]
    if "alarm" in rows:
        raised[str(rows["alarm"].get("kind"))] = rows["alarm"]
    return raised


def percent(fraction: float) -> str:
    """Format a fraction in percent: 0.875 -> '87.5 %'."""
    return "NaN" if math.isnan(fraction) else f"{100 * fraction:.1f} %"


def _cells(name: str, rows: Sequence[dict], measures: Sequence[Measure]) -> tuple[str, ...]:
    first, *others = measures
    average, interval = score(rows, first)
    seconds = intervals.mean([row["seconds"] for row in rows])
    solved = all("strength" in row for row in rows)
    return (
        marked(name, rows),
        f"{_span(rows, 'trainable_params')} of {_span(rows, 'total_params')}",
        "solved" if solved else drawn(rows),
        first.shown(average),
        interval_text(interval, first) if interval else f"undefined, n = {len(rows)}",
        *(_more(rows, each) for each in others),
        _number(intervals.mean([row["validation"]["loss"] for row in rows]), digits=3),
        "-"
        if solved
        else _number(intervals.mean([row["images_per_second"] for row in rows]), digits=0),
        _number(seconds, digits=0 if seconds >= 10 else 1),
    )


def _more(rows: Sequence[dict], measure: Measure) -> str:
    """Format another measure of a rung, which a run that was killed may lack."""
    if not all(isinstance(row["validation"].get(measure.name), float) for row in rows):
        return "-"
    return measure.shown(score(rows, measure)[0])


def drawn(rows: Sequence[dict]) -> str:
    """Format how many images a rung's steps drew, which compares rungs; epochs differ in length.

    A run of an earlier version recorded its epochs alone.
    """
    if all(isinstance(row.get("images_drawn"), int) for row in rows):
        return _span(rows, "images_drawn")
    return f"{_span(rows, 'epochs')} epochs"


def _tested(rows: Sequence[dict], measure: Measure) -> str:
    if not all("test" in row for row in rows):
        return "not tested"
    average, interval = score(rows, measure, split="test")
    return f"{measure.shown(average)} ({interval_text(interval, measure)})"


def _span(rows: Sequence[dict], field: str) -> str:
    low, high = min(row[field] for row in rows), max(row[field] for row in rows)
    return f"{low:,}" if low == high else f"{low:,}-{high:,}"


def _number(value: float, *, digits: int) -> str:
    return "NaN" if math.isnan(value) else f"{value:,.{digits}f}"


def _markdown(cell: str) -> str:
    return " ".join(cell.replace("|", "\\|").replace("<", "&lt;").split())
