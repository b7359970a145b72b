"""Ways to a classifier on photographs as they are and shifted: accuracy, intervals, differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tljax.report.stats.intervals import Interval, accuracy_interval, mean
from tljax.report.tables import paired
from tljax.report.tables.paired import Difference

PLAIN = "as they are"
CORRUPTED = "corrupted"


@dataclass(frozen=True)
class Judged:
    """Which photographs each way gets right, in each condition: way -> condition -> bool `[S, N]`.

    Conditions of one column are the same photographs, changed; a column's accuracy is the mean over
    its conditions. The first column is the photographs as they are.
    """

    right: Mapping[str, Mapping[str, np.ndarray]]
    columns: Mapping[str, Sequence[str]]

    def seeds(self, way: str, column: str) -> list[float]:
        """Compute each seed's accuracy in a column."""
        counts, times = self._counts(way, column)
        return [float(value) for value in counts.mean(1) / times]

    def accuracy(self, way: str, column: str) -> tuple[float, Interval | None]:
        """Compute the mean over seeds, and its interval: over images where there is one seed."""
        values, (counts, _) = self.seeds(way, column), self._counts(way, column)
        return mean(values), accuracy_interval(values, images=counts.shape[1])

    def difference(self, way: str, against: str, column: str) -> Difference:
        """Compare two ways on the same photographs, over seeds and photographs together.

        A photograph is drawn with all of its conditions.
        """
        one, times = self._counts(way, column)
        other, _ = self._counts(against, column)
        drawn = paired.paired_bootstrap(one, other)
        interval = Interval(drawn.low / times, drawn.high / times, drawn.over, drawn.count)
        value = float((one - other).mean() / times)
        return Difference(way, against, value, interval, len(one), None)

    def chosen(self, ways: Sequence[str]) -> dict[str, np.ndarray]:
        """Choose among ways by accuracy on the photographs as they are, without optimism.

        The even photographs are judged by the way that is best on the odd ones, and the reverse; of
        equal ones the first in `ways`. Photographs of another source, by the best on all.
        """
        plain = np.stack([self.right[way][PLAIN].mean(0) for way in ways])  # [ways, N]
        halves = [ways[int(plain[:, 1 - half :: 2].mean(1).argmax())] for half in (0, 1)]
        whole = ways[int(plain.mean(1).argmax())]
        made: dict[str, np.ndarray] = {}
        for condition, right in self.right[whole].items():
            made[condition] = right.copy()
            if right.shape[1] == plain.shape[1]:
                for half, way in enumerate(halves):
                    made[condition][:, half::2] = self.right[way][condition][:, half::2]
        return made

    def to_dict(self, pairs: Sequence[tuple[str, str]]) -> dict:
        """Describe accuracies and the differences of pairs in plain JSON."""
        ways = {
            way: {
                "columns": {column: self._described(way, column) for column in self.columns},
                "conditions": {
                    name: float(right.mean()) for name, right in self.right[way].items()
                },
            }
            for way in self.right
        }
        differences = [
            {
                "way": way,
                "against": against,
                "column": column,
                "value": found.value,
                "low": found.interval.low,
                "high": found.interval.high,
                "said": paired.sentence(found) if found.shown else paired.figures(found),
            }
            for column in self.columns
            for way, against in pairs
            for found in [self.difference(way, against, column)]
        ]
        images = {
            column: int(next(iter(self.right.values()))[names[0]].shape[1])
            for column, names in self.columns.items()
        }
        return {"images": images, "ways": ways, "differences": differences}

    def _described(self, way: str, column: str) -> dict:
        average, interval = self.accuracy(way, column)
        ends = {"low": interval.low, "high": interval.high} if interval else {}
        return {"accuracy": average, **ends, "seeds": self.seeds(way, column)}

    def _counts(self, way: str, column: str) -> tuple[np.ndarray, int]:
        """Count in how many conditions of a column each image is right: int8 `[S, N]`."""
        names = self.columns[column]
        stacked = np.stack([self.right[way][name] for name in names])
        return stacked.sum(axis=0, dtype=np.int8), len(names)
