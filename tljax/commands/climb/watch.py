"""While a ladder is climbed: what each rung reached, how long the rest takes, the page so far."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tljax import report, waiting
from tljax.audit.forecast import Outlook
from tljax.climb import Stages
from tljax.config import Stage
from tljax.data.examples import Sets
from tljax.machine import processes
from tljax.train.rung import Trained

TELLING = 0.01  # of the work that is left: less work than that foretells nothing
PAGE_SHARE = 0.1  # of the time, which writing the page may take while rungs train


@dataclass
class Watch:
    """Follows the rungs of a run as they end.

    `work` are the FLOPs of each rung, for all seeds, in the order in which they train. The time of
    those that are left is foretold from the pace of those that ended.
    """

    work: dict[str, float]
    workdir: Path
    _paced: float = 0.0  # FLOPs that took the seconds beside them
    _seconds: float = 0.0
    _written: float = 0.0  # when the page was last written, and how long that took
    _writing: float = 0.0

    def __call__(self, name: str, trained: Mapping[int, Trained]) -> None:
        """Say what a rung reached with its seeds; write the page where that costs little."""
        if not processes.first():
            return
        first = next(iter(trained.values()))
        measure, held_out = first.task.measures[0], first.scores["validation"]["n"]
        scores = [each.scores["validation"][measure.name] for each in trained.values()]
        took = sum(each.history.seconds for each in trained.values())
        over = f", mean of {len(scores)} seeds" if len(scores) > 1 else ""
        waiting.say(
            f"{name}: {measure.name} {measure.shown(sum(scores) / len(scores))} "
            f"on {first.task.worded(f'{held_out:,} validation images')}{over}, "
            f"{waiting.duration(took)}"
            f"{self._then(name, trained)}"
        )
        if self.work:
            self._write_page()

    def _then(self, name: str, trained: Mapping[int, Trained]) -> str:
        """Note the pace of a rung; say how long those that are left take, where that is known."""
        done = self.work.pop(name, 0.0)
        left = sum(self.work.values())
        spent = [each.history.seconds - each.history.compile_seconds for each in trained.values()]
        if done > TELLING * left and not any(each.restored for each in trained.values()):
            self._paced, self._seconds = self._paced + done, self._seconds + sum(spent)
        waiting.then(None)
        if not left or not self._paced:
            return ""
        pace = self._seconds / self._paced
        waiting.then((left - next(iter(self.work.values()))) * pace)
        return f"; the rest about {waiting.duration(left * pace)}"

    def _write_page(self) -> None:
        began = time.perf_counter()
        if self._written and self._writing > PAGE_SHARE * (began - self._written):
            return
        page = report.write_report(self.workdir)[-1]
        if not self._written:
            waiting.say(f"the page so far: {os.path.relpath(page)}")
        self._written = time.perf_counter()
        self._writing = self._written - began


def work_of(looks: Sequence[Outlook], stages: Stages, sets: Sets) -> dict[str, float]:
    """Estimate the FLOPs of each stage: steps, evaluation, and views of a frozen base.

    A forward pass counts as a third of a step. Views that are kept from before are not known here;
    those of several stages are made together, at the first.
    """
    work, viewed = dict[str, float](), False
    photographs, held_out = len(sets.train.labels), len(sets.validation.labels)
    through = max(map(_forward, looks, (stage for _, stage in stages.values())))
    for look, (_, stage) in zip(looks, stages.values(), strict=True):
        forward = _forward(look, stage)
        work[look.name] = 3 * forward * look.images + forward * look.epochs * held_out
        if isinstance(stage.views, int) and stage.views > 1 and not viewed:
            work[look.name] += through * stage.views * photographs
            viewed = True
    return work


def _forward(look: Outlook, stage: Stage) -> float:
    return look.step_flops / (3 * stage.batch_size) if look.steps else 0.0
