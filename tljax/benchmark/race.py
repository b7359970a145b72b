"""The measurement of one row of the benchmark: make its entrants, race them and compare."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from statistics import median

from tljax.benchmark.child import PeerError
from tljax.benchmark.field import Field
from tljax.benchmark.rows import Against, Json, Row, Settings
from tljax.benchmark.timing import Entrant, Load, race, ratio

FRESH_ROUNDS = 3  # a process per round is slow
# Cores used by others above which no goal is judged: PyTorch's barriers wait for a thread that has
# no core, and its small layers were 100 times slower with one other busy process.
QUIET = 0.25


def measure(
    rows: tuple[Row, ...],
    settings: Settings,
    field: Field,
    *,
    rounds: int,
    deadline: float = math.inf,
    on_row: Callable[[Json], None] | None = None,
) -> list[Json]:
    """Measure each row as plain JSON; rows for which `deadline` leaves no time say so."""
    results = []
    for row in rows:
        results.append(_measured(row, settings, field, rounds=rounds, deadline=deadline))
        if on_row is not None:
            on_row(results[-1])
    return results


def _measured(row: Row, settings: Settings, field: Field, *, rounds: int, deadline: float) -> Json:
    about = {"name": row.name, "what": row.what, "load": None, "rounds": 0, "seconds": None}
    if time.monotonic() > deadline:
        return {**about, "against": [_missing(each, "no time left") for each in row.against]}
    ours, present, absent = _entrants(row, field)
    load = Load()
    rounds = min(rounds, FRESH_ROUNDS) if row.fresh else rounds
    entrants = [ours, *present.values()]
    times = race(entrants, rounds=rounds, seconds=settings.seconds, deadline=deadline)
    about["load"] = load.cores()
    if not row.fresh:
        for each in present:
            field.drop(each.who, each.contender)
    if times is None:
        return {**about, "against": [_missing(each, "no time left") for each in row.against]}
    compared = {
        each: _compared(each, ours, theirs, times[0], taken, quiet=(about["load"] or 0.0) <= QUIET)
        for (each, theirs), taken in zip(present.items(), times[1:], strict=True)
    }
    about |= {"rounds": len(times[0]), "seconds": median(times[0]), "work": ours.work}
    return {
        **about,
        "against": [compared[each] if each in compared else absent[each] for each in row.against],
    }


def _entrants(
    row: Row, field: Field
) -> tuple[Entrant, dict[Against, Entrant], dict[Against, Json]]:
    """Make our entrant and those present, and a table line for each that is missing."""
    make = field.fresh if row.fresh else field.entrant
    ours, present, absent = make("ours", row.ours), {}, {}
    for each in row.against:
        try:
            present[each] = make(each.who, each.contender)
        except PeerError as error:
            absent[each] = _missing(each, str(error))
    return ours, present, absent


def _missing(each: Against, why: str) -> Json:
    return {**asdict(each), "missing": why}


def _compared(
    each: Against,
    ours: Entrant,
    theirs: Entrant,
    mine: list[float],
    taken: list[float],
    *,
    quiet: bool,
) -> Json:
    """Compare a peer with ours.

    `met` is None without a goal, or under too much load to judge it.
    """
    speed = ratio(mine, taken, work=ours.work[each.unit] / theirs.work[each.unit])
    met = None if each.goal is None or not quiet else speed.value >= each.goal
    result = {"ratio": asdict(speed), "seconds": median(taken), "work": theirs.work, "met": met}
    return asdict(each) | result
