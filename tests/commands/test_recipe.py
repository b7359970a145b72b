import json
import sys
from dataclasses import replace

import pytest

from tljax import config
from tljax.commands import options, recipe
from tljax.config import Plan
from tljax.models import ops
from tljax.recipe import full_recipe


@pytest.fixture
def short(monkeypatch):
    """The full plan with two steps a stage."""
    plan = full_recipe()
    stages = [
        replace(s, epochs=1, images_per_epoch=6, batch_size=3, views=s.views and 2)
        for s in plan.stages
    ]
    monkeypatch.setattr(recipe, "plan_of", lambda name, base: Plan(name, tuple(stages)))


def test_a_recipe_tells_itself_and_leaves_a_report(
    short, photographs, base, in_a_hurry, tmp_path, monkeypatch, capsys
):
    words = f"recipe --data {photographs} --size 32 --weights {base} --seed 3 --keep-going"
    words += f" --workdir {tmp_path / 'run'}"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(ops, "compiler_options", in_a_hurry)
    monkeypatch.setattr(sys, "argv", words.split())
    recipe.main()
    out = capsys.readouterr().out
    table = [line.split()[0] for line in out.split("stage ", 1)[1].splitlines()[2:5]]
    assert table == ["head", "late", "whole"]
    assert out.index("schedules.png") < out.index("FLOPs/step") < out.index("val. accuracy")
    results = json.loads((tmp_path / "run" / "results.json").read_text())["rungs"]
    assert [(r["name"], r["seed"], r["epochs"]) for r in results] == [
        (name, 3, 1) for name in table
    ]
    assert (
        results[0]["trainable_params"]
        < results[1]["trainable_params"]
        < results[2]["trainable_params"]
    )
    for name in (
        "schedules.png",
        "report.html",
        "ladder.png",
        *(f"curves_{stage}.png" for stage in table),
    ):
        assert (tmp_path / "run" / name).stat().st_size > 1000


def test_plans_scale_and_take_views(monkeypatch):
    def told(plan, *words):
        monkeypatch.setattr(sys, "argv", ["recipe", *words])
        args = options.parser("", experiment="recipe").parse_args()
        args.plan = plan
        return recipe._plan(args).stages

    stages = told("gradual", "--budget", "0.34", "--views", "5", "--skip-nonfinite")
    assert [stage.epochs for stage in stages] == [1] * 6
    assert [stage.views for stage in stages] == [5] * 5 + [None]
    assert all(stage.skip_nonfinite for stage in stages)
    assert [stage.views for stage in told(Plan("p", stages), "--views", "0")] == [None] * 6


@pytest.mark.parametrize("plan", recipe.PLANS)
def test_plans_for_masks_take_small_batches_gentle_warps_and_higher_rates(plan, monkeypatch):
    def stages(*words):
        monkeypatch.setattr(sys, "argv", ["recipe", "--quiet", *words])
        args = options.parsed(options.parser("", experiment="recipe"))
        args.plan = plan
        return recipe._plan(args)

    plain, masks = stages("--data", "critters"), stages("--data", "critters:masks")
    gentle = config.PRESETS["masks"]["frozen"].augment
    for like, stage in zip(plain.stages, masks.stages, strict=True):
        assert stage.lr == replace(like.lr, peak=3 * like.lr.peak)
        assert (stage.batch_size, stage.augment) == (8, gentle)
        assert stage.steps_per_epoch(96) == 12
        assert stage.views == (4 if like.views else None)
    told = stages("--data", "critters:masks", "--lr", "2e-3", "--batch", "4")
    assert {(stage.lr.peak, stage.batch_size) for stage in told.stages} == {(2e-3, 4)}
