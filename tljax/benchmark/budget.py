"""The time of a benchmark: which rows fit, in order of worth, and until when each may take."""

from collections.abc import Sequence
from dataclasses import dataclass

from tljax.benchmark.rows import Row, Settings

FRESH_ROUNDS = 3  # a process per round is slow
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


def budget(rows: Sequence[Row], settings: Settings, *, rounds: int, seconds: float) -> Budget:
    """Take each row in turn that fits into what is left, and share all seconds among these.

    A contender that an earlier row has compiled costs nothing more.
    """
    made: set[tuple[str, str]] = set()
    taken: list[tuple[Row, float]] = []
    left_out: list[tuple[Row, float]] = []
    spent = settings.starting
    for row in rows:
        needed = cost(row, settings, rounds=rounds, made=made)
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


def cost(row: Row, settings: Settings, *, rounds: int, made: set[tuple[str, str]]) -> float:
    """Estimate the seconds of a row: compiling what no row before has, warm-ups and rounds."""
    entrants = 1 + len(row.against)
    if row.fresh:
        calls = entrants * (min(rounds, FRESH_ROUNDS) + 1)
        return calls * (settings.starting + settings.making)
    each = row.round_seconds or settings.seconds
    return settings.making * len(_contenders(row) - made) + entrants * (rounds + _WARM_UP) * each


def _contenders(row: Row) -> set[tuple[str, str]]:
    """Return what the row compiles in this process; peers are made meanwhile, bounds at once."""
    if row.fresh:
        return set()
    return {("ours", row.ours)} | {
        (each.who, each.contender) for each in row.against if each.who == "ours"
    }
