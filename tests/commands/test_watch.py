"""What is said as rungs end: the accuracy, how long the rest takes at the pace so far, the page."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from tljax import config, report
from tljax.audit.forecast import Outlook
from tljax.commands.climb import watch
from tljax.commands.climb.watch import Watch, work_of
from tljax.models.build import Network
from tljax.tasks.classification import Classification

NAN = float("nan")


def ended(*, accuracy, seconds, compiled=0.0, restored=False):
    history = SimpleNamespace(seconds=seconds, compile_seconds=compiled)
    scores = {"validation": {"accuracy": accuracy, "n": 500}}
    return SimpleNamespace(scores=scores, history=history, restored=restored, task=Classification())


@pytest.fixture
def pages(monkeypatch, tmp_path):
    """The pages that were written, one for each call."""
    made = []

    def write(workdir):
        made.append(workdir)
        return [workdir / "report.html"]

    monkeypatch.setattr(report, "write_report", write)
    monkeypatch.chdir(tmp_path)
    return made


def test_the_rest_is_foretold_from_the_pace_of_what_ended(pages, tmp_path, capsys):
    follows = Watch({"features": 1.0, "scratch": 1e6, "frozen": 2e6, "finetune": 1e6}, tmp_path)
    follows("features", {0: ended(accuracy=0.738, seconds=4)})
    follows("scratch", {0: ended(accuracy=0.5, seconds=21, compiled=1)})
    follows("frozen", {0: ended(accuracy=0.77, seconds=0, restored=True)})
    follows("finetune", {0: ended(accuracy=0.75, seconds=9), 1: ended(accuracy=0.77, seconds=9)})
    assert capsys.readouterr().out.splitlines() == [
        "features: accuracy 73.8 % on 500 validation images, 4 s",  # too little work to tell a pace
        "the page so far: report.html",
        "scratch: accuracy 50.0 % on 500 validation images, 21 s; the rest about 1 min",
        "frozen: accuracy 77.0 % on 500 validation images, 0 s; the rest about 20 s",
        "finetune: accuracy 76.0 % on 500 validation images, mean of 2 seeds, 18 s",
    ]


def test_the_page_is_written_at_once_and_then_only_while_that_costs_little(
    pages, tmp_path, monkeypatch
):
    clock = iter([0.0, 2.0, 10.0, 30.0, 31.0, 40.0])
    monkeypatch.setattr(watch.time, "perf_counter", lambda: next(clock))
    follows = Watch(dict.fromkeys("abcde", 0.0), tmp_path)
    for name, written in (("a", 1), ("b", 1), ("c", 2), ("d", 2)):  # at 0, 10, 30 and 40 seconds
        follows(name, {0: ended(accuracy=0.5, seconds=1)})
        assert len(pages) == written, name


def test_work_is_steps_evaluation_and_the_views_once():
    def look(name, flops, **changes):
        counts = {"trainable_params": 1, "total_params": 1, "epochs": 2, "steps": 4}
        costs = {"step_flops": flops, "temporary": NAN, "compile_seconds": NAN}
        base = Outlook(name, {}, images=40, data=1, place="replicated", **counts, **costs)
        return replace(base, **changes)

    sets = SimpleNamespace(
        train=SimpleNamespace(labels=range(20)), validation=SimpleNamespace(labels=range(5))
    )
    stage = config.Stage("whole", config.TRAIN_ALL, 1e-3, epochs=2, batch_size=10)
    viewed = replace(stage, name="head", rules=config.HEAD_ONLY, views=3)
    solved = config.PRESETS["tuned"]["linear"]
    stages = {
        "linear": (Network(), solved),
        "head": (Network(), viewed),
        "tail": (Network(), viewed),
        "whole": (Network(), stage),
    }
    looks = [look("linear", NAN, steps=0, images=0), look("head", 30.0), look("tail", 30.0)]
    work = work_of([*looks, look("whole", 300.0)], stages, sets)
    assert work == {  # a pass through the whole network: 10
        "linear": 0.0,
        "head": 30 * 4 + 1 * 2 * 5 + 10 * 3 * 20,
        "tail": 30 * 4 + 1 * 2 * 5,
        "whole": 300 * 4 + 10 * 2 * 5,
    }
