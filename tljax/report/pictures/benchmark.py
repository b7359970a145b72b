"""The benchmark's results as a table for a terminal and a picture with a bar for each ratio."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tljax.report.pictures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Json = dict[str, Any]  # benchmark.json, or a part of it
CAPTION = (
    "Our rate over that of a peer or bound in the same run. Thin line: single rounds. Tick: goal."
)
WHO = {
    "torch": "PyTorch",
    "keras": "Keras 3 on JAX",
    "bound": "measured",
    "ours": "our",
    "uncached": "uncached",
}
_UNITS = {
    "flops": ("GFLOP/s", 1e9),
    "bytes": ("GB/s", 1e9),
    "images": ("img/s", 1.0),
    "starts": ("starts/s", 1.0),
}
_COLUMNS = ("row", "ours", "against", "theirs", "ratio", "rounds", "goal", "load")


def benchmark_table(results: Json) -> str:
    """Format a line for each ratio, aligned; a missing peer has a line too.

    Load is the number of cores used by other processes; under high load no goal is judged.
    """
    lines = [_COLUMNS]
    for row in results["rows"]:
        lines += [_line(row, each) for each in row["against"]]
        lines += [_rate_line(row)] if row.get("goal") else []
    widths = [max(len(line[i]) for line in lines) for i in range(len(_COLUMNS))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def row_line(row: Json) -> str:
    """Format a row as one line to paste: our rate, and its ratio to each opponent."""
    told: list[str] = []
    for each in row["against"]:
        if "missing" in each:
            told.append(f"{opponent(each)}: {each['missing'].partition(';')[0]}")
            continue
        ratio = each["ratio"]
        spread = f"{ratio['low']:.2f} to {ratio['high']:.2f}"
        told.append(f"{ratio['value']:.2f} of {opponent(each)} ({spread})")
    rates = [
        _rate(row["work"], row["seconds"], unit)
        for unit in _UNITS
        if row["seconds"] and row["work"].get(unit)
    ]
    if row.get("goal"):
        told.append(f"goal {_least(row)}")
    load = "" if row["load"] is None else f", load {row['load']:.2f}"
    return f"{row['name']}: {', '.join([*rates, *told])}; {row['rounds']} rounds{load}"


def _line(row: Json, each: Json) -> tuple[str, ...]:
    against, load = opponent(each), "" if row["load"] is None else f"{row['load']:.2f}"
    if "missing" in each:
        return row["name"], "", against, each["missing"], "", "", _goal(each), load
    ours, theirs = (_rate(one["work"], one["seconds"], each["unit"]) for one in (row, each))
    spread = f"{each['ratio']['low']:.2f}-{each['ratio']['high']:.2f} ({row['rounds']})"
    return (
        row["name"],
        ours,
        against,
        theirs,
        f"{each['ratio']['value']:.2f}",
        spread,
        _goal(each),
        load,
    )


def _rate_line(row: Json) -> tuple[str, ...]:
    """Lay out the goal of a row's own rate."""
    ours = _rate(row["work"], row["seconds"], "images") if row["seconds"] else ""
    load = "" if row["load"] is None else f"{row['load']:.2f}"
    return row["name"], ours, "goal", "", "", f"({row['rounds']})", _least(row), load


def _least(row: Json) -> str:
    judged = _judged(row["met"]) if row["seconds"] else "not measured"
    return f"{row['goal']:,.0f} img/s {judged}"


def opponent(each: Json) -> str:
    """Name a row's opponent: the peer or bound, and which of its contenders."""
    return f"{WHO[each['who']]} {each['contender']}"


def _rate(work: dict[str, float], seconds: float, unit: str) -> str:
    if unit == "starts":
        return f"{seconds:.2f} s"
    name, scale = _UNITS[unit]
    return f"{work[unit] / scale / seconds:.4g} {name}"


def _goal(each: Json) -> str:
    if each["goal"] is None:
        return ""
    if "missing" in each:
        return f"{each['goal']:g}"
    return f"{each['goal']:g} {_judged(each['met'])}"


def _judged(met: bool | None) -> str:
    return {True: "met", False: "missed", None: "not judged (load)"}[met]


def write_benchmark(results: Json, path: Path) -> Path:
    """Draw a bar for each measured ratio on a logarithmic scale, starting at 1."""
    drawn = [(row, each) for row in results["rows"] for each in row["against"] if "ratio" in each]
    figure = style.new_figure(width=7.2, height=1.5 + 0.3 * len(drawn))
    height = figure.get_figheight()
    ax = figure.add_axes((0.43, 0.6 / height, 0.5, 1 - (0.6 + 0.72) / height))
    style.title(figure, "Benchmark", f"{CAPTION}\n{results['about']}")
    named = None
    for place, (row, each) in enumerate(drawn):
        _bar(ax, each, place, name=row["name"] if row["name"] != named else "")
        named = row["name"]
    _axis(ax, drawn)
    return style.save(figure, path)


def _bar(ax: "Axes", each: Json, place: int, *, name: str) -> None:
    ratio = each["ratio"]
    colour = {True: style.COLOURS["train"], False: style.COLOURS["validation"], None: "#999999"}[
        each["met"]
    ]
    ax.barh(place, ratio["value"] - 1, left=1, height=0.55, color=colour, alpha=0.85)
    ax.plot([ratio["low"], ratio["high"]], [place, place], color=style.INK, linewidth=0.8, zorder=3)
    if each["goal"] is not None:
        ax.plot(
            [each["goal"]] * 2, [place - 0.4, place + 0.4], color=style.INK, linewidth=1.8, zorder=4
        )
    text = partial(ax.text, va="center", parse_math=False, transform=ax.get_yaxis_transform())
    text(-0.83, place, name, size=9, weight="bold", color=style.INK)
    text(-0.02, place, f"/ {opponent(each)}", size=8, color=style.FAINT, ha="right")
    text(1.01, place, f"{ratio['value']:.2f}", size=8.5, color=style.INK)


def _axis(ax: "Axes", drawn: list[tuple[Json, Json]]) -> None:
    ends = [end for _, each in drawn for end in (*each["ratio"].values(), each["goal"] or 1.0)]
    ax.set_xscale("log")
    ax.set_xlim(0.8 * min([*ends, 0.5]), 1.25 * max([*ends, 2.0]))
    ax.set_ylim(len(drawn) - 0.4, -0.6)
    ax.set_xticks(
        [x for x in (0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if _within(x, ax.get_xlim())]
    )
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_locator(_no_ticks())
    ax.yaxis.set_visible(False)
    ax.axvline(1, color=style.FAINT, linewidth=0.9)
    ax.grid(axis="x", color=style.RULE, linewidth=0.7)
    ax.set_axisbelow(True)
    style.strip(ax)


def _within(x: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= x <= limits[1]


def _no_ticks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()
