"""The measurement of one row of the benchmark: make its entrants, race them and compare."""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from statistics import median

from tljax.benchmark.budget import FEW_ROUNDS, racing
from tljax.benchmark.field import Field
from tljax.benchmark.rows import Against, Json, Row, Settings
from tljax.benchmark.timing import Entrant, Load, PeerError, race, ratio

# Cores used by others above which no goal is judged: PyTorch's barriers wait for a thread that has
# no core, and its small layers were 100 times slower with one other busy process.
QUIET = 0.25
_GRACE = 10.0  # seconds after a row's end that a round has which was begun before it


def measure(
    rows: Sequence[Row],
    settings: Settings,
    field: Field,
    *,
    rounds: int,
    deadlines: Sequence[float] | None = None,
    on_row: Callable[[Json], None] | None = None,
) -> list[Json]:
    """Measure each row as plain JSON; a row whose deadline leaves no time says so.

    `deadlines`, of `time.monotonic`, are one a row. What a later row needs again stays compiled.
    """
    results: list[Json] = []
    for number, row in enumerate(rows):
        deadline = deadlines[number] if deadlines else math.inf
        results.append(_measured(row, settings, field, rounds=rounds, deadline=deadline))
        needed = {pair for later in rows[number + 1 :] for pair in _contenders(later)}
        for who, contender in _contenders(row):
            if (who, contender) not in needed:
                field.drop(who, contender)
        if on_row is not None:
            on_row(results[-1])
    return results


def untimed(row: Row, why: str) -> Json:
    """Describe a row that was not measured, and why."""
    about = {"name": row.name, "what": row.what, "load": None, "rounds": 0, "seconds": None}
    about |= {"goal": row.goal, "met": None}
    return {**about, "against": [_missing(each, why) for each in row.against]}


def _measured(row: Row, settings: Settings, field: Field, *, rounds: int, deadline: float) -> Json:
    about = untimed(row, "no time left")
    if time.monotonic() > deadline:
        return about
    rounds = min(rounds, FEW_ROUNDS) if row.fresh or row.lasts else rounds
    # A peer that is still compiled when the rounds should begin is out of them.
    field.until = deadline + _GRACE
    if not row.fresh:
        field.until = deadline - racing(row, settings, entrants=1 + len(row.against), rounds=rounds)
    ours, present, absent = _entrants(row, field)
    field.until = deadline + _GRACE
    load = Load()
    entrants = [ours, *present.values()]
    if row.lasts:
        entrants = [_warm(entrant) for entrant in entrants]
    times = race(entrants, rounds=rounds, seconds=settings.seconds, deadline=deadline)
    about["load"] = load.cores()
    if isinstance(mine := times[0], PeerError):
        return {**about, **untimed(row, str(mine))}
    if not mine:
        return {
            **about,
            "against": [absent.get(e, _missing(e, "no time left")) for e in row.against],
        }
    quiet = (about["load"] or 0.0) <= QUIET
    compared = {
        each: _missing(each, str(taken))
        if isinstance(taken, PeerError)
        else _compared(each, ours, theirs, mine, taken, quiet=quiet)
        for (each, theirs), taken in zip(present.items(), times[1:], strict=True)
    }
    about |= {"rounds": len(mine), "seconds": median(mine), "work": ours.work}
    if row.goal is not None and quiet:
        about["met"] = ours.work["images"] / about["seconds"] >= row.goal
    return {
        **about,
        "against": [compared[each] if each in compared else absent[each] for each in row.against],
    }


def _warm(entrant: Entrant) -> Entrant:
    """Call once what takes longer than a round; then each of its calls is one."""
    entrant.seconds(1)
    return replace(entrant, once=True)


def _contenders(row: Row) -> list[tuple[str, str]]:
    """List the contenders that stay from row to row, ours first."""
    if row.fresh:
        return []
    return [("ours", row.ours), *((each.who, each.contender) for each in row.against)]


def _entrants(
    row: Row, field: Field
) -> tuple[Entrant, dict[Against, Entrant], dict[Against, Json]]:
    """Make our entrant and those present, and a table line for each that is missing.

    Peers, in processes of their own, are made while ours are.
    """
    make = field.fresh if row.fresh else field.entrant
    peers = [each for each in row.against if each.who not in ("ours", "bound") and not row.fresh]
    present: dict[Against, Entrant] = {}
    absent: dict[Against, Json] = {}
    with ThreadPoolExecutor(max(1, len(peers))) as pool:
        pending = {each: pool.submit(make, each.who, each.contender) for each in peers}
        ours = make("ours", row.ours)
        for each in row.against:
            try:
                present[each] = (
                    pending[each].result() if each in pending else make(each.who, each.contender)
                )
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
