"""Few validation photographs: what is said of them, and whether its command can be pasted."""

import shlex

import pytest

from tljax import report
from tljax.commands import cross_validate
from tljax.report.tables import few

ARGUMENTS = {
    "data": "folder:my photos",
    "size": 48,
    "weights": "base.safetensors",
    "preset": "deck-keras3",
    "dtype": "float32",
    "validation_fraction": 0.25,
    "data_dir": None,
    "skip_corrupt": True,
    "allow_duplicates": False,
    "workdir": "my runs",
}


def results(right: int, *, images: int, train: int = 900, rungs=("features",)) -> dict:
    validation = {"accuracy": right / images, "loss": 0.5, "n": images}
    rows = [
        {"name": name, "seed": seed, "validation": validation} for name in rungs for seed in (0, 1)
    ]
    return {"data": {"size": 150, "train_images": train}, "rungs": rows}


def test_the_interval_is_wilson_s_over_so_many_photographs():
    # 24 of 24: 1 / (1 + z^2 / 24) = 0.862 with z = 1.96. Newcombe 1998: 15 of 148 is 6.2 to 16.1 %.
    said = few.note(results(24, images=24))
    assert said.startswith(
        "Validation accuracy rests on 24 photographs: features 86.2 to 100.0 % (95 %, Wilson's"
    )
    assert "scratch 86.2 to 100.0 %, frozen 86.2" in few.note(
        results(24, images=24, rungs=("scratch", "frozen"))
    )


def test_of_one_seed_the_table_has_the_intervals():
    found = results(24, images=24)
    found["rungs"] = [row for row in found["rungs"] if row["seed"] == 0]
    said = few.note(found)
    assert said == "Validation accuracy rests on 24 photographs, and so its intervals are wide."


def test_texts_are_called_so_and_their_columns_named():
    of_texts = results(15, images=20) | {"task": {"name": "text"}}
    columns = {"task": "text", "text_column": "body", "label_columns": ["kind"]}
    columns["decisions"] = "suspects.csv"
    config = {"arguments": ARGUMENTS | columns}
    said = few.lines(of_texts, config)[1]
    assert said.startswith("Steadier: tljax features again, each training text judged by a head")
    assert "--task text --text-column body --label-columns kind" in said
    assert "--decisions suspects.csv" in said
    assert "each training text judged" in "".join(few.section(of_texts, config))


@pytest.mark.parametrize(("images", "told"), [(99, True), (100, False), (1000, False)])
def test_only_few_are_spoken_of(images, told):
    assert bool(few.note(results(50, images=images))) == told
    assert len(few.lines(results(50, images=images), {"arguments": ARGUMENTS})) == 2 * told
    assert bool(few.section(results(50, images=images), {"arguments": ARGUMENTS})) == told
    assert few.note(results(50, images=images) | {"rungs": []}) == ""


def test_a_diverged_rung_has_no_interval():
    diverged = results(24, images=24)
    for row in diverged["rungs"]:
        row["validation"]["accuracy"] = float("nan")
    assert few.note(diverged) == ""


def test_the_command_is_the_run_s_own_and_can_be_pasted():
    command = few.command(results(24, images=24), {"arguments": ARGUMENTS})
    words = shlex.split(command)
    assert words[:2] == ["tljax", "cross-validate"]
    args = cross_validate._parser().parse_args(words[2:])
    # The size is what the run had: its option may have been left to the weights.
    assert (args.data, args.size, args.weights) == ("folder:my photos", 150, "base.safetensors")
    assert (args.preset, args.dtype, args.validation_fraction) == ("deck-keras3", "float32", 0.25)
    assert (args.skip_corrupt, args.allow_duplicates) == (True, False)
    assert (args.folds, args.seeds, str(args.workdir)) == (10, 3, "my runs/cross_validate")
    assert "--dtype" not in command


def test_fewer_photographs_than_folds_leave_one_out():
    assert "--folds all" in few.command(results(4, images=4, train=8), {"arguments": ARGUMENTS})


@pytest.mark.parametrize("arguments", [None, {}, {"data": 3}, ARGUMENTS | {"weights": None}])
def test_without_data_or_a_base_there_is_no_command(arguments):
    told = results(24, images=24)
    assert few.command(told, {"arguments": arguments}) == ""
    assert few.lines(told, {"arguments": arguments}) == [few.note(told)]


def test_the_page_and_the_terminal_say_it(tmp_path, write):
    write(tmp_path)  # of 40 photographs
    lines = report.few_photographs(tmp_path)
    assert len(lines) == 1
    assert lines[0].startswith("Validation accuracy rests on 40 photographs: scratch ")
    text = report.write_report(tmp_path)[-1].read_text()
    assert "<b>Validation accuracy rests on 40 photographs: scratch " in text
