"""The commands for other photographs, on one small run: what they leave, and the loop of labels."""

import csv
import json
import shlex
import shutil
import sys

import numpy as np
import pytest

from tljax import data
from tljax.commands import cross_validate, predict, report, rungs
from tljax.commands.generalise import (
    head2toe,
    interpolate,
    looks,
    low_rank,
    shifted,
    soup,
    surgical,
    suspects,
)
from tljax.errors import InputError
from tljax.methods.judge import variables_of
from tljax.methods.transferability import logme
from tljax.models import ops
from tljax.runs.predict import load_run
from tljax.tree import flatten

FEW = "--kinds contrast --severities 5 --quiet"


@pytest.fixture(scope="module")
def hurried(in_a_hurry, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(ops, "compiler_options", in_a_hurry)
        yield patch


def call(patch, main, words):
    patch.setattr(sys, "argv", words.split())
    main()


@pytest.fixture(scope="module")
def trained(photographs, base):
    words = f"finetune --data {photographs} --size 32 --weights {base} --epochs 1"
    return f"{words} --views 1 --batch 6 --quiet"


@pytest.fixture(scope="module")
def run(hurried, trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    call(hurried, rungs.finetune, f"{trained} --seeds 2 --anchor 3 --workdir {folder}")
    return folder


def read(path):
    return json.loads(path.read_text())


def test_a_run_says_how_far_each_layer_moved(run):
    noted = read(run / "results.json")["moved"]
    assert set(noted) == {"frozen", "finetune"}
    assert set(noted["frozen"]["0"].values()) == {0.0}
    assert noted["finetune"]["1"]["block5_conv1"] > 0 == noted["finetune"]["1"]["block4_conv1"]
    assert "How far each layer moved" in (run / "report.html").read_text()
    assert read(run / "config.json")["plan"]["finetune"]["stage"]["optimizer"]["anchor"] == 3


def test_shifted_adds_a_part_to_the_page(run, hurried, photographs, capsys):
    call(hurried, shifted.main, f"shifted --run {run} --shifted {photographs} {FEW}")
    written = (run / "shifted.json").read_bytes()
    with pytest.raises(
        InputError, match=r"shifted\.json is there; rename it and its picture, or p"
    ):
        call(hurried, shifted.main, f"shifted --run {run} --kinds none --quiet")
    assert (run / "shifted.json").read_bytes() == written
    document = read(run / "shifted.json")
    assert list(document["ways"]) == ["frozen", "finetune"]
    assert document["images"] == {"as they are": 6, "corrupted": 6, photographs: 18}
    for rung, way in document["ways"].items():
        plain, other = (way["columns"][column]["seeds"] for column in ("as they are", photographs))
        rows = [row for row in read(run / "results.json")["rungs"] if row["name"] == rung]
        assert plain == [row["validation"]["accuracy"] for row in rows]
        assert len(other) == len(plain)
    assert "On shifted photographs" in (run / "report.html").read_text()
    out = capsys.readouterr().out
    assert f"WARNING: {photographs}: 12 of the 18 are training photographs of the run" in out
    assert "finetune against frozen" in out


def test_two_runs_are_compared_paired_over_the_seeds_of_both(run, hurried, trained, capsys):
    other = run.parent / "light"
    words = f"{trained} --seed 1 --seeds 2 --photometric --workdir {other}"
    call(hurried, rungs.finetune, words)
    assert read(other / "config.json")["plan"]["frozen"]["stage"]["augment"]["photometric"]
    call(hurried, shifted.main, f"shifted --run {other} --against {run} --rungs finetune {FEW}")
    document = read(other / "shifted.json")
    assert list(document["ways"]) == ["finetune", "finetune of run"]
    found = document["ways"]["finetune of run"]["columns"]["as they are"]["seeds"]
    rows = read(run / "results.json")["rungs"]
    assert found == [
        row["validation"]["accuracy"]
        for row in rows
        if row["name"] == "finetune" and row["seed"] == 1
    ]
    pairs = {(each["way"], each["against"]) for each in document["differences"]}
    assert pairs == {("finetune", "finetune of run")}
    assert "finetune against finetune of run" in capsys.readouterr().out


def test_runs_that_cannot_be_compared_are_refused(run, hurried, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    results = read(other / "results.json")

    def refused(change, message, words=""):
        (other / "results.json").write_text(json.dumps(change))
        words = f"--against {other} {FEW} --overwrite {words}"
        with pytest.raises(InputError, match=message):
            call(hurried, shifted.main, f"shifted --run {run} {words}")

    data = results["data"] | {"digest": "0" * 64}
    refused(results | {"data": data}, "expected the photographs of run")
    frozen = [row for row in results["rungs"] if row["name"] == "frozen"]
    few = results | {"rungs": frozen}
    refused(few, "expected one of the rungs finetune, found none", "--rungs finetune")
    later = [row | {"seed": row["seed"] + 7} for row in results["rungs"]]
    refused(results | {"rungs": later}, r"expected a seed of .*run, found none of them")
    with pytest.raises(InputError, match="runs, each once"):
        call(hurried, shifted.main, f"shifted --run {run} --against {run} {FEW} --overwrite")


def test_interpolate_saves_a_point_with_the_bits_of_its_ends(run, hurried, tmp_path):
    words = f"interpolate --run {run} --points 3 {FEW} --share 1 --save {tmp_path / 'end'}"
    call(hurried, interpolate.main, words)
    document = read(run / "interpolate.json")
    assert list(document["ways"]) == ["frozen", "half way", "finetune", "chosen"]
    saved = load_run(tmp_path / "end")
    end = load_run(run, rung="finetune", seed=saved.seed)
    for path, leaf in flatten(variables_of(end)).items():
        assert (
            np.asarray(flatten(variables_of(saved))[path]).tobytes() == np.asarray(leaf).tobytes()
        )
    assert (run / "interpolate.html").stat().st_size > 10_000


def test_soup_judges_every_way(run, hurried, tmp_path):
    words = f"soup --run {run} --rates 1e-3 --orders 1 --photometric {FEW}"
    words += f" --save {tmp_path / 'soup'}"
    call(hurried, soup.main, words)
    document = read(run / "soup.json")
    assert list(document["ways"]) == [
        "start",
        "best single",
        "uniform soup",
        "greedy soup",
        "ensemble",
    ]
    assert (
        "soups of 2: rates 0.001, 1 orders, as the run augments and photometric"
        in document["about"]
    )
    assert load_run(tmp_path / "soup").rung.startswith("soup-of-")


def test_views_are_paired_with_a_plain_look(run, hurried):
    call(hurried, looks.main, f"looks --run {run} --rung frozen --views 1 2 {FEW}")
    document = read(run / "looks.json")
    assert list(document["ways"]) == ["plain", "mirrored", "1 views", "2 views"]
    rows = [row for row in read(run / "results.json")["rungs"] if row["name"] == "frozen"]
    plain = document["ways"]["plain"]["columns"]["as they are"]["seeds"]
    assert plain == [row["validation"]["accuracy"] for row in rows]


@pytest.mark.slow
def test_surgical_trains_groups_alone(run, hurried):
    words = f"surgical --run {run} --groups block5 auto-rgn --seeds 1 --epochs 1 {FEW}"
    call(hurried, surgical.main, words)
    document = read(run / "surgical.json")
    assert list(document["ways"]) == ["start", "block5", "auto-rgn"]
    (group, measures), page = *document["transferability"].items(), (run / "surgical.html")
    assert (group, list(measures)) == ("block5", ["LogME", "H-score", "CKA with classes"])
    assert f"{measures['LogME']:.3f}" in page.read_text()
    net = load_run(run, rung="frozen", seed=0).net  # as transferability's command has it
    sets = data.load(read(run / "config.json")["arguments"]["data"], size=32)
    out = net.run(sets.train.images, net.params)[1]["base/block5_pool"]
    rows = np.asarray(out, np.float64).mean((1, 2))
    assert measures["LogME"] == pytest.approx(logme(rows, sets.train.labels), rel=1e-3)


def test_low_rank_trains_little(run, hurried, tmp_path, capsys):
    folder = tmp_path / "saved"
    small = tmp_path / "small.safetensors"
    words = f"low_rank --run {run} --ranks 2 --seeds 1 --epochs 1 --save {folder} {FEW}"
    call(hurried, low_rank.main, f"{words} --save-difference {small}")
    ways = read(run / "low_rank.json")["ways"]
    assert list(ways) == ["start", "whole", "biases", "rank 2"]
    saved = load_run(folder)
    (accuracy,) = ways["rank 2"]["columns"]["as they are"]["seeds"]
    assert (saved.rung, saved.row()["validation"]["accuracy"]) == ("rank-2", accuracy)
    sets = data.load(read(run / "config.json")["arguments"]["data"], size=32)
    found = saved(sets.validation.images).argmax(1) == sets.validation.labels
    assert found.mean() == accuracy
    before = flatten(variables_of(load_run(run, rung="frozen", seed=0)))
    after, kernel = flatten(variables_of(saved)), "params/base/block5_conv1/kernel"
    change = (np.asarray(after[kernel]) - np.asarray(before[kernel])).reshape(-1, 32)
    assert np.linalg.matrix_rank(change, tol=1e-2 * np.linalg.norm(change, 2)) in (1, 2)
    out = capsys.readouterr().out
    assert "rank 2 " in out
    assert f"{small}: {small.stat().st_size:,} bytes beside " in out
    weights, source = (read(run / "config.json")["arguments"][n] for n in ("weights", "data"))
    photographs = source.removeprefix("folder:")
    told = []
    for where in (folder, f"{small} --weights {weights}"):
        call(hurried, predict.main, f"predict --run {where} --json {photographs}")
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    with pytest.raises(InputError, match="expected a folder, or with --weights a file"):
        call(hurried, predict.main, f"predict --run {small} {photographs}")
    with pytest.raises(InputError, match="no --rung or --seed"):
        call(hurried, predict.main, f"predict --run {small} --weights x --seed 1 {photographs}")


def test_a_run_of_another_task_is_refused(run, hurried, tmp_path):
    results = read(run / "results.json") | {"task": {"name": "text"}}
    (tmp_path / "results.json").write_text(json.dumps(results))
    for command in (shifted, looks, soup, interpolate, low_rank, surgical):
        with pytest.raises(InputError, match="expected a run on classes of photographs, found te"):
            call(hurried, command.main, f"it --run {tmp_path} {FEW}")


def test_mistakes_are_named(run, hurried):
    again = f"--run {run} --overwrite"
    with pytest.raises(InputError, match="expected the rung differential, found frozen, finetune"):
        call(hurried, interpolate.main, f"interpolate {again} --to differential {FEW}")
    with pytest.raises(InputError, match="--points: expected an odd number"):
        call(hurried, interpolate.main, f"interpolate {again} --points 4 {FEW}")
    with pytest.raises(InputError, match=r"--kinds: expected some of gaussian_noise.*found 'rain'"):
        call(hurried, shifted.main, f"shifted {again} --kinds rain --quiet")
    with pytest.raises(InputError, match="expected out_of_fold/, which tljax cross-validate"):
        call(hurried, suspects.main, f"suspects --run {run} --quiet")


@pytest.mark.parametrize("command", [interpolate, looks, low_rank, shifted, soup, surgical])
def test_what_a_command_left_before_is_not_replaced_unasked(run, hurried, tmp_path, command):
    name = command.__name__.rpartition(".")[2]
    (tmp_path / f"{name}.json").write_text("before")
    shutil.copy(run / "results.json", tmp_path)
    with pytest.raises(InputError, match=rf"{name}\.json is there; rename it"):
        call(hurried, command.main, f"it --run {tmp_path} {FEW}")
    assert (tmp_path / f"{name}.json").read_text() == "before"


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        (shifted, "--kinds none jpeg", "--kinds: expected none alone, found none jpeg"),
        (shifted, "--kinds jpeg jpeg", "--kinds: expected each once, found jpeg twice"),
        (shifted, "--severities 3 3", "--severities: expected each once, found 3 twice"),
        (soup, "--photographs 1", "--photographs: expected 2 or more, found 1"),
        (interpolate, "--photographs 1", "--photographs: expected 2 or more, found 1"),
        (interpolate, "--share 0.5", "--share: expected --save with it, found none"),
        (interpolate, "--to frozen", "--to: expected another rung than --from, found frozen"),
        (interpolate, "--save RUN", "expected a new folder, or one that Trained.save wrote"),
        (soup, "--save RUN/results.json", "expected a folder to save to, found a file"),
    ],
)
def test_what_cannot_be_done_is_refused_first(run, hurried, command, words, message):
    for file in ("interpolate.json", "soup.json"):
        (run / file).unlink(missing_ok=True)
    again = f"it --run {run} --quiet --overwrite"
    with pytest.raises(InputError, match=message):
        call(hurried, command.main, f"{again} {words.replace('RUN', str(run))}")
    assert not [file for file in ("interpolate.json", "soup.json") if (run / file).exists()]


@pytest.mark.parametrize("command", [soup, surgical, low_rank, head2toe, looks])
def test_severities_are_checked_as_they_are_read(run, hurried, command, capsys):
    with pytest.raises(SystemExit):
        call(hurried, command.main, f"it --run {run} --kinds jpeg --severities 9")
    assert "--severities: expected 1 to 5, found 9" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("critters:masks", "--shifted: expected classes of photographs, found critters:masks, for"),
        ("critters --shifted folder:nothere", "folder:nothere|nothere: "),
        ("critters --shifted critters:masks", "critters:masks: expected the classes of critters"),
    ],
)
def test_a_shift_that_cannot_be_judged_is_refused_before_training(hurried, tmp_path, data, message):
    words = f"linear --shifted --data {data} --size 32 --quiet --workdir {tmp_path / 'run'}"
    with pytest.raises(InputError, match=message):
        call(hurried, rungs.linear, words)
    assert not (tmp_path / "run" / "results.json").exists()


def test_a_run_stopped_before_its_first_rung_is_refused(run, hurried, photographs, base, tmp_path):
    for name in ("config.json", "results.json"):
        shutil.copy(run / name, tmp_path)
    (tmp_path / "results.json").write_text(json.dumps(read(run / "results.json") | {"rungs": []}))
    heads = f"--data {photographs} --size 32 --weights {base} --workdir {tmp_path / 'heads'}"
    for command, words in ((shifted, ""), (looks, ""), (interpolate, ""), (head2toe, heads)):
        with pytest.raises(InputError, match="expected a run with a trained rung, found none"):
            call(hurried, command.main, f"it --run {tmp_path} {FEW} {words}")


def test_looks_take_the_best_rung_without_its_predictions(run, hurried, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(run, bare, ignore=shutil.ignore_patterns("predictions"))
    call(hurried, looks.main, f"looks --run {bare} --views 1 --kinds none --quiet --overwrite")
    assert "plain" in read(bare / "looks.json")["ways"]


def test_decisions_on_suspects_change_the_next_run(hurried, photographs, base, tmp_path, capsys):
    common = f"--data {photographs} --size 32 --weights {base} --quiet"
    first, second = tmp_path / "first", tmp_path / "second"
    words = f"cross_validate {common} --folds 3 --epochs 1"
    call(hurried, cross_validate.main, f"{words} --workdir {first}")
    call(hurried, report.main, f"report --run {first} --quiet")
    assert "(3 folds)" in (first / "report.html").read_text()
    call(hurried, suspects.main, f"suspects --run {first} --quiet --decide delete --overwrite")
    said = capsys.readouterr().out.splitlines()
    train, again = (shlex.split(line) for line in said if line.startswith("  tljax "))
    assert (train[1], again[1]) == ("ladder", "cross-validate")
    args = cross_validate._parser().parse_args(again[2:])
    path = first / "suspects.csv"
    assert (args.folds, args.seeds) == (3, 1)
    assert (args.data, args.size, args.decisions) == (photographs, 32, path)
    assert args.workdir != first
    with path.open() as file:
        found = list(csv.DictReader(file))
    assert {row["decision"] for row in found} <= {"delete"}
    with pytest.raises(InputError, match="it may hold your decisions"):
        call(hurried, suspects.main, f"suspects --run {first} --quiet")
    path.write_text(
        "id,label,decision,new_label\ntrain/cat/cat.0.png,cat,delete,\n"
        "train/cat/cat.1.png,cat,relabel,dog\n"
    )
    call(hurried, cross_validate.main, f"{words} --decisions {path} --workdir {second}")
    before, after = (read(each / "config.json")["data"] for each in (first, second))
    assert (before["train_images"], after["train_images"]) == (12, 11)
    assert before["digest"] != after["digest"]
    assert after["left_out"] == ["1 by decision"]
    capsys.readouterr()
    call(hurried, suspects.main, f"suspects --run {second} --quiet")  # reads the decisions again
    assert "of 11 training labels to look at" in capsys.readouterr().out


@pytest.fixture(scope="module")
def heads(hurried, run, photographs, base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    words = f"head2toe --data {photographs} --size 32 --weights {base} --run {run} {FEW}"
    call(hurried, head2toe.main, f"{words} --workdir {folder} --shifted {photographs}")
    return folder


def test_heads_on_all_layers_stand_beside_the_rungs_of_a_run(heads, run, photographs):
    document = read(heads / "head2toe.json")
    ways = ["last layer", "all layers", "head2toe", "frozen", "finetune"]
    assert list(document["ways"]) == ways
    assert document["images"] == {"as they are": 6, "corrupted": 6, photographs: 18}
    rows = [row for row in read(run / "results.json")["rungs"] if row["name"] == "frozen"]
    frozen = document["ways"]["frozen"]["columns"]["as they are"]["seeds"]
    assert frozen == [row["validation"]["accuracy"] for row in rows]
    for way in ways[:3]:  # one head beside both seeds of a rung
        columns = document["ways"][way]["columns"]
        assert len(set(columns["as they are"]["seeds"])) == 1
        assert len(set(columns[photographs]["seeds"])) == 1
    (kept,), (head,) = document["kept"], document["heads"]["head2toe"]
    assert sum(kept.values()) == head["features"] == head["parameters"] - 1
    assert head["features"] == round(head["fraction"] * sum(document["layers"].values()))
    assert list(kept) == list(document["layers"])
    assert (heads / "head2toe.html").read_text().count("<img") == 2


@pytest.mark.slow
def test_heads_of_a_draw_are_of_as_many_examples(hurried, photographs, base, tmp_path, capsys):
    words = f"head2toe --data {photographs} --size 32 --weights {base} --kinds none --quiet"
    words += f" --workdir {tmp_path}"
    call(hurried, head2toe.main, f"{words} --draw 8 --seeds 2")
    assert "drawn anew for each of 2 seeds" in read(tmp_path / "head2toe.json")["about"]
    assert "head2toe against last layer" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"holds head2toe.json; name another --workdir"):
        call(hurried, head2toe.main, words)


@pytest.mark.slow
def test_heads_beside_another_run_are_refused(hurried, run, photographs, base, tmp_path):
    words = f"head2toe --data {photographs} --weights {base} --quiet --workdir {tmp_path}"
    with pytest.raises(InputError, match=r"expected a run on folder:.* at size 48, found"):
        call(hurried, head2toe.main, f"{words} --size 48 --run {run}")
    with pytest.raises(InputError, match="--run: expected photographs, and all of them"):
        call(hurried, head2toe.main, f"{words} --size 32 --run {run} --draw 8")
    with pytest.raises(InputError, match="--seeds: expected 1 or 2, as many as --run has, found 3"):
        call(hurried, head2toe.main, f"{words} --size 32 --run {run} --seeds 3 --kinds none")
    with pytest.raises(InputError, match=r"2 .one of each class. to 12 training examples, found"):
        call(hurried, head2toe.main, f"{words} --size 32 --draw 13")
