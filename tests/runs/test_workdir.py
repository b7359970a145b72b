import gc
import json
import math
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.config import HEAD_ONLY, PRESETS, Stage
from tljax.data.preprocess import CAFFE
from tljax.data.sources import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.files import orbax_store
from tljax.linear.logistic import Solution
from tljax.machine.provenance import environment
from tljax.models.build import Network
from tljax.optim.schedules import WarmupCosine
from tljax.runs.workdir import Workdir
from tljax.train.loop import History
from tljax.train.lr_finder import Finding
from tljax.train.outcome.collapse import Collapse
from tljax.train.rung import Trained
from tljax.train.step import State

STAGE = Stage("frozen", HEAD_ONLY, lr=WarmupCosine(1e-3), epochs=2)
NETWORK = Network(hidden=2)
RECORD = {
    "rung": "frozen",
    "seed": 3,
    "epoch": 2,
    "step": 10,
    "train": {"loss": math.nan, "accuracy": 0.5},
    "validation": {"loss": 0.7, "accuracy": 0.25, "n": 4},
    "rates": {"head/.*": math.inf},
}


def photographs():
    images, labels = np.zeros((4, 8, 8, 3), np.uint8), np.array([0, 1, 0, 0], np.int32)
    train = ImageSet(images[:3], labels[:3], ("a", "b", "c"))
    return ImageSets(
        "folder:pets",
        ("cat", "dog"),
        train,
        ImageSet(images, labels, tuple("abcd")),
        "d" * 64,
        ("bad",),
    )


def trained():
    params = {"base": {"kernel": jnp.arange(3.0)}, "head": {"kernel": jnp.float32([[1.5, -2.0]])}}
    state = State(jnp.int32(10), params, {}, {"count": jnp.int32(10)})
    cost = {"seconds": 9.5, "features_seconds": 4.0, "compile_seconds": 2.5, "train_seconds": 1.5}
    history = History([RECORD], **cost, images_per_second=80.0, step_flops=math.nan)
    about = {"classes": ("cat", "dog"), "size": 8, "rung": "frozen", "seed": 3}
    told = {"stage": asdict(STAGE), "data": "d" * 64}
    counts = {"trainable_params": 2, "total_params": 5}
    return Trained(state, history, NETWORK, CAFFE, **counts, **about, **told)


def begun(path, **options):
    workdir = Workdir(path, **options)
    arguments = {"weights": Path("base.safetensors"), "seeds": 1, "views": None}
    workdir.begin(arguments=arguments, stages={"frozen": (NETWORK, STAGE)}, sets=photographs())
    return workdir


def finished(path, **options):
    workdir = begun(path, **options)
    workdir.log(RECORD)
    workdir.log({**RECORD, "epoch": 3})
    workdir.finish("frozen", trained(), seed=3, stage=STAGE, sets=photographs())
    return workdir


def test_the_range_test_of_a_found_rate_is_kept(tmp_path):
    workdir = begun(tmp_path / "run")
    workdir.log(RECORD)
    finding = Finding(
        np.array([1e-3, 1e-2]), np.array([1.0, 0.5]), np.array([1.0, 0.75]), {"valley": 1e-2}
    )
    workdir.finish(
        "frozen", replace(trained(), finding=finding), seed=3, stage=STAGE, sets=photographs()
    )
    assert strict((workdir.path / "lr_find_frozen-seed3.json").read_text()) == {
        "rung": "frozen",
        "seeds": {
            "3": {
                "suggestions": {"valley": 0.01},
                "rates": [0.001, 0.01],
                "losses": [1.0, 0.5],
                "smoothed": [1.0, 0.75],
            }
        },
    }
    del workdir
    assert not list(begun(tmp_path / "run", overwrite=True).path.glob("lr_find*"))


def test_a_finished_rung_says_that_more_epochs_do_not_train_it(tmp_path, capsys):
    path = finished(tmp_path / "run").path
    gc.collect()  # its lock goes with it
    longer = {"frozen": (NETWORK, replace(STAGE, epochs=5))}
    workdir = Workdir(path, resume=True, anyway=True)
    workdir.begin(arguments={"seeds": 1}, stages=longer, sets=photographs())
    del workdir
    gc.collect()
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("frozen: finished with 2 epochs and left as it is, not trained to 5:")
    assert f"--weights {path}:frozen" in line
    for stages in ({"frozen": (NETWORK, STAGE)}, {"new": (NETWORK, replace(STAGE, epochs=7))}):
        Workdir(path, resume=True, anyway=True).begin(
            arguments={}, stages=stages, sets=photographs()
        )
        gc.collect()
        assert "left as it is" not in capsys.readouterr().out


def test_how_a_rung_was_solved_is_kept_with_its_results(tmp_path):
    workdir = begun(tmp_path / "run")
    solution = Solution(1e-3, 965.0, 5, (1.0, 1e-3), (0.75, math.nan), (0.5, 0.25), (0.1, 0.1))
    workdir.finish(
        "frozen", replace(trained(), solution=solution), seed=3, stage=STAGE, sets=photographs()
    )
    (row,) = strict((workdir.path / "results.json").read_text())["rungs"]
    assert row["strength"] == 1e-3
    assert row["cross_validation"] == {
        "held_out": {"accuracy": None, "loss": 0.25},
        "scale": 965.0,
        "folds": 5,
        "strengths": [1.0, 1e-3],
        "accuracy": [0.75, None],
        "loss": [0.5, 0.25],
        "standard_error": [0.1, 0.1],
    }


def test_the_files_of_features_are_named_for_each_rung_and_not_those_of_a_run_before(tmp_path):
    workdir = begun(tmp_path / "run")
    workdir.log(RECORD)
    for seed, files in ((3, (Path("/a/b.h5"), Path("/a/c.h5"))), (4, (Path("/a/b.h5"),))):
        workdir.finish(
            "frozen", replace(trained(), files=files), seed=seed, stage=STAGE, sets=photographs()
        )
    assert strict((workdir.path / "features.json").read_text()) == {
        "frozen-seed3": ["/a/b.h5", "/a/c.h5"],
        "frozen-seed4": ["/a/b.h5"],
    }
    del workdir
    assert not (begun(tmp_path / "run", overwrite=True).path / "features.json").exists()


def test_features_are_shared_by_runs_and_the_workdir_is_the_second_choice(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    here = tmp_path / "run" / "features"
    assert Workdir(tmp_path / "run").features == [tmp_path / "cache" / "tljax" / "features", here]
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert Workdir(tmp_path / "run").features == [here]  # a disk that all processes see


def test_what_a_killed_run_did_not_remove_goes_when_it_is_resumed(tmp_path):
    """It was killed between the results and the removal of the checkpoints on its way."""
    left = finished(tmp_path / "run").path / "progress" / "frozen-seed3"
    left.mkdir(parents=True)
    results = (tmp_path / "run" / "results.json").read_bytes()
    workdir = begun(tmp_path / "run", resume=True)
    workdir.finish(
        "frozen", replace(trained(), restored=True), seed=3, stage=STAGE, sets=photographs()
    )
    assert not left.exists()
    assert (tmp_path / "run" / "results.json").read_bytes() == results


def test_a_note_on_the_run_stays_in_the_results(tmp_path):
    workdir = begun(tmp_path / "run")
    workdir.note("preprocessing", {"told": "BGR", "differs": math.nan})
    workdir.log(RECORD)
    workdir.finish("frozen", trained(), seed=3, stage=STAGE, sets=photographs())
    results = strict((tmp_path / "run" / "results.json").read_text())
    assert results["preprocessing"] == {"told": "BGR", "differs": None}
    assert [row["name"] for row in results["rungs"]] == ["frozen"]
    del workdir
    again = begun(tmp_path / "run", overwrite=True)
    assert "preprocessing" not in strict((again.path / "results.json").read_text())


def test_listeners_are_told_each_record_as_it_is(tmp_path):
    told = []
    workdir = begun(tmp_path / "run")
    workdir.listeners.append(told.append)
    workdir.log(RECORD)
    assert told == [RECORD]
    assert math.isnan(told[0]["train"]["loss"])


def strict(text):
    """JSON as the standard has it: no NaN."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return finished(tmp_path_factory.mktemp("run") / "new" / "run").path


def test_a_run_leaves_its_files_and_no_drafts(run):
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoints",
        "config.json",
        "metrics.jsonl",
        "results.json",
    ]


def test_the_configuration_is_resolved(run):
    told = strict((run / "config.json").read_text())
    assert set(told) == {"command", "arguments", "plan", "data", "versions", "device", "base"} | {
        "by_winograd"
    }
    assert told["command"][0] == "python"
    assert told["arguments"] == {"weights": "base.safetensors", "seeds": 1, "views": None}
    plan = told["plan"]["frozen"]
    assert plan["network"]["hidden"] == 2
    assert plan["stage"]["rules"] == [["head/.*", 1.0], ["base/.*", None]]
    assert plan["stage"]["lr"] == {"peak": 1e-3, "warmup": 0.1}
    assert plan["stage"]["optimizer"]["eps_in_sqrt"] is True
    assert told["versions"]["jax"] == jax.__version__
    assert told["versions"]["optax"] == version("optax")
    assert told["device"] == "8 x cpu"


def test_the_results_have_the_fields_that_others_read(run):
    told = strict((run / "results.json").read_text())
    assert told["data"] == {
        "source": "folder:pets",
        "digest": "d" * 64,
        "classes": ["cat", "dog"],
        "size": 8,
        "train_images": 3,
        "validation_images": 4,
        "skipped": ["bad"],
    }
    assert set(told["environment"]) == {"versions", "device", "machine"}
    assert told["rungs"] == [
        {
            "name": "frozen",
            "seed": 3,
            "epochs": 2,
            "images_drawn": 320,
            "train_images": 3,
            "validation": {"loss": 0.7, "accuracy": 0.25, "n": 4},
            "trainable_params": 2,
            "total_params": 5,
            "seconds": 9.5,
            "features_seconds": 4.0,
            "compile_seconds": 2.5,
            "train_seconds": 1.5,
            "images_per_second": 80.0,
            "step_flops": None,  # NaN
            "temporary_bytes": None,
        }
    ]


def test_a_collapse_is_kept_with_the_line_that_was_said(tmp_path):
    found = Collapse(False, True, 1, math.inf, 0.693, 0.5, 0.96, 2e-3, 2, 0)
    ruined = trained()
    ruined.history.collapsed = found
    begun(tmp_path / "run").finish("frozen", ruined, seed=3, stage=STAGE, sets=photographs())
    told = strict((tmp_path / "run" / "results.json").read_text())["rungs"][0]["collapsed"]
    assert told["said"] == found.line(stage="frozen", seed=3)
    assert (told["learnt_nothing"], told["epoch"], told["training_loss"], told["back_to"]) == (
        False,
        1,
        None,
        0,
    )


def test_a_line_an_epoch_with_null_for_what_is_not_finite(run):
    first, second = (strict(line) for line in (run / "metrics.jsonl").read_text().splitlines())
    assert first == {**RECORD, "train": {"loss": None, "accuracy": 0.5}, "rates": {"head/.*": None}}
    assert second["epoch"] == 3


def test_the_classifier_can_be_restored(run):
    variables, meta = orbax_store.restore_variables(run / "checkpoints" / "frozen-seed3", 10)
    np.testing.assert_array_equal(variables["params"]["head"]["kernel"], [[1.5, -2.0]])
    assert meta["preprocess"] == CAFFE.to_dict()
    assert (meta["classes"], meta["size"], meta["seed"], meta["data"]) == (
        ["cat", "dog"],
        8,
        3,
        "d" * 64,
    )
    assert meta["network"]["hidden"] == 2
    assert meta["stage"]["name"] == "frozen"


def test_results_exist_from_the_beginning(tmp_path):
    path = begun(tmp_path).path
    assert strict((path / "results.json").read_text())["rungs"] == []


def test_a_second_run_is_refused_or_starts_anew(tmp_path):
    """Anew: only saved features, and what is not ours, outlive the old run."""
    path = finished(tmp_path).path
    for name in ("features.h5", "report.html", "curves_frozen.png", "ladder.png", "notes.png"):
        (path / name).write_text("old")
    with pytest.raises(
        InputError,
        match=r"holds a run \(metrics.jsonl\); name another --workdir, "
        r"or pass --overwrite or --resume",
    ):
        Workdir(path)
    Workdir(path, overwrite=True)
    assert (path / "results.json").exists()  # until the new run begins
    again = begun(path, overwrite=True)
    names = sorted(file.name for file in path.iterdir())
    assert names == ["config.json", "features.h5", "notes.png", "results.json"]
    again.log(RECORD)
    again.finish(
        "frozen", trained(), seed=3, stage=STAGE, sets=photographs()
    )  # the same step once more


START = json.dumps({**RECORD, "train": {}, "rates": {}, "epoch": 0}) + "\n"
ENDED = json.dumps({**RECORD, "train": {}, "rates": {}, "epoch": 1}) + "\n"


@pytest.mark.parametrize("tail", ["", ENDED[:40], ENDED[: ENDED.index("}") + 1]])
def test_a_run_that_was_killed_in_its_first_epoch_is_none(tmp_path, tail):
    """It had told of its start, and perhaps half of its first epoch's line."""
    killed = begun(tmp_path)
    killed.log({**RECORD, "epoch": 0})
    del killed
    with open(tmp_path / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write(tail)
    again = begun(tmp_path)
    assert not (tmp_path / "metrics.jsonl").exists()
    again.log({**RECORD, "epoch": 1})
    with pytest.raises(InputError, match=r"holds a run \(metrics\.jsonl\)"):
        Workdir(tmp_path)


@pytest.mark.parametrize("lines", [START + ENDED, START + ENDED[:-1], START + "x\n" + START, "{}"])
def test_an_epoch_that_ended_or_a_file_not_understood_is_a_run(tmp_path, lines):
    (tmp_path / "metrics.jsonl").write_text(lines)
    with pytest.raises(InputError, match=r"holds a run \(metrics\.jsonl\)"):
        Workdir(tmp_path)


def test_a_first_epoch_that_was_saved_on_its_way_is_a_run(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(START)
    (tmp_path / "progress").mkdir()
    with pytest.raises(InputError, match=r"holds a run \(progress\)"):
        Workdir(tmp_path)


def test_nothing_is_written_before_the_run_begins(tmp_path):
    Workdir(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_workdir_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        InputError, match="--workdir: expected a folder that can be written, found"
    ) as error:
        begun(tmp_path / "file" / "run")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("budget", "epochs"), [(1.0, 30), (0.1, 3), (0.01, 1), (0.05, 2), (2.0, 60)]
)
def test_a_budget_is_a_fraction_of_the_epochs_and_at_least_one(budget, epochs):
    stage = PRESETS["deck-keras3"]["frozen"]
    assert stage.scaled(budget=budget) == replace(stage, epochs=epochs)


def test_the_environment_names_versions_and_devices():
    found = environment()
    assert found["device"] == "8 x cpu"
    assert {"python", "tljax", "jax", "flax", "optax", "orbax-checkpoint"} <= set(found["versions"])
