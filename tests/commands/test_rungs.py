"""The rungs of an experiment are those of `tljax.config`, which the commands train."""

import importlib

import pytest

from tljax import config
from tljax.commands import rungs, runner
from tljax.commands.climb.rung import named


@pytest.mark.parametrize("name", ["ladder", *config.RUNGS])
def test_an_experiment_trains_the_rungs_of_its_command(monkeypatch, name):
    passed = {}
    monkeypatch.setattr(runner, "main", lambda doc, *, experiment, rungs: passed.update(rungs))
    getattr(rungs, name)()
    shown = importlib.import_module(f"experiments.{name}").RUNGS
    assert list(shown) == list(passed)
    assert shown == passed


@pytest.mark.parametrize("preset", list(config.PRESETS))
def test_rungs_by_name_have_the_stages_of_a_preset_and_start_from_the_rung_before(preset):
    found = named(config.RUNGS, preset)
    assert {name: rung.stage for name, rung in found.items()} == config.PRESETS[preset]
    assert {name: rung.after for name, rung in found.items() if rung.after} == config.STARTS_FROM
    assert [rung.network.feature_norm for rung in found.values()] == [
        preset in ("tuned", "masks") and name != "scratch" for name in config.RUNGS
    ]
