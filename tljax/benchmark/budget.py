"""The time of a benchmark: which rows fit, in order of worth, and until when each may take."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from tljax.benchmark.rows import Row, Settings

PEERS = frozenset({"torch", "keras"})
FEW_ROUNDS = 3  # of a process for each call, or of long calls
_WARM_UP = 2  # calls of each entrant before its rounds


@dataclass(frozen=True)
class Budget:
    """Hold the rows that fit, the seconds after the start by which each ends, and the others."""

    rows: tuple[Row, ...]
    ends: tuple[float, ...]
    left_out: tuple[tuple[Row, float], ...]  # and the seconds that each would have taken

    def told(self) -> str:
        """Describe the budget in a line or two: each row's share, and what does not fit."""
        starts = (0.0, *self.ends[:-1])
        spans = zip(self.rows, starts, self.ends, strict=bool(self.rows))
        shares = [f"{row.name} {end - start:.0f} s" for row, start, end in spans]
        lines = [f"time: {', '.join(shares) or 'for no row'}"]
        if self.left_out:
            needed = ", ".join(f"{row.name} (about {s:.0f} s)" for row, s in self.left_out)
            lines.append(f"no time for: {needed}")
        return "\n".join(lines)


def budget(
    rows: Sequence[Row],
    settings: Settings,
    *,
    rounds: int,
    seconds: float,
    peers: Set[str] = PEERS,
) -> Budget:
    """Take each row in turn that fits into what is left, and share all seconds among these.

    A contender that an earlier row has compiled costs nothing more; `peers` are those installed.
    """
    made: set[tuple[str, str]] = set()
    taken: list[tuple[Row, float]] = []
    left_out: list[tuple[Row, float]] = []
    spent = settings.starting
    for row in rows:
        needed = cost(row, settings, rounds=rounds, made=made, peers=peers)
        if spent + needed > seconds:
            left_out.append((row, needed))
            continue
        spent += needed
        made |= _contenders(row)
        taken.append((row, needed))
    ends, end = list[float](), settings.starting
    for _, needed in taken:
        end += needed
        ends.append(end * seconds / max(spent, 1e-9))
    return Budget(tuple(row for row, _ in taken), tuple(ends), tuple(left_out))


def cost(
    row: Row,
    settings: Settings,
    *,
    rounds: int,
    made: Set[tuple[str, str]],
    peers: Set[str] = PEERS,
) -> float:
    """Estimate the seconds of a row: making what no row before has, warm-ups and rounds."""
    absent = PEERS - peers
    entrants = 1 + sum(each.who not in absent for each in row.against)
    if row.fresh:
        calls = entrants * (min(rounds, FEW_ROUNDS) + 1)
        return calls * (settings.starting + settings.making)
    new = {pair for pair in _contenders(row) - made if pair[0] not in absent}
    here = settings.making * sum(who == "ours" for who, _ in new)
    # Each library's process makes its own, while the others do and while ours are made.
    there = [settings.peer_making * sum(who == peer for who, _ in new) for peer in peers]
    return max(here, *there, 0.0) + racing(row, settings, entrants=entrants, rounds=rounds)


def racing(row: Row, settings: Settings, *, entrants: int, rounds: int) -> float:
    """Estimate the seconds of a row's warm-ups and rounds."""
    if row.lasts:
        return entrants * (min(rounds, FEW_ROUNDS) + 1) * row.lasts[settings.accelerated]
    return entrants * (rounds + _WARM_UP) * settings.seconds


def _contenders(row: Row) -> set[tuple[str, str]]:
    """Return what the row compiles once for all rows; bounds are made at once."""
    if row.fresh:
        return set()
    return {("ours", row.ours)} | {
        (each.who, each.contender) for each in row.against if each.who != "bound"
    }
