"""Tables written out, and what is said of a file that is not what it should be."""

import json
import math

import pytest

from tljax.errors import InputError
from tljax.report.tables import table
from tljax.runs.results import by_rung, read_results


def row(name: str, seed: int, accuracy: float | None, **changes) -> dict:
    """One row of results.json: 1,000 parameters of 16,000 train for 30 epochs of 1,600 images,
    263 validation images.
    """
    values = {
        "epochs": 30,
        "images_drawn": 48_000,
        "trainable_params": 1000,
        "total_params": 16000,
        "seconds": 60.0,
    }
    validation = {"accuracy": accuracy, "loss": 0.5, "n": 263}
    return (
        {"name": name, "seed": seed, "images_per_second": 812.4, "validation": validation}
        | values
        | changes
    )


@pytest.fixture
def read(tmp_path):
    def read(rows) -> dict:
        path = tmp_path / "results.json"
        path.write_text(json.dumps({"data": {"source": "critters"}, "rungs": rows}))
        return read_results(path)

    return read


# Seeds: mean 0.92, s / sqrt(2) = 0.02, t = 12.706. Images: Newcombe 1998, 81 of 263.
ROWS = [
    row("scratch", 0, 81 / 263),
    row("frozen", 0, 0.90, epochs=10, images_drawn=16_000),
    row("frozen", 1, 0.94, seconds=3.0),
]


LEFT = """\
rung     trainable of total   images drawn  val. accuracy                   95 % interval
-------  ------------------  -------------  -------------  ------------------------------
scratch     1,000 of 16,000         48,000         30.8 %  25.5 to 36.6 % over 263 images
frozen      1,000 of 16,000  16,000-48,000         92.0 %    66.6 to 100.0 % over 2 seeds
"""
RIGHT = """\
  val. loss  images/s  seconds
  ---------  --------  -------
      0.500       812       60
      0.500       812       32
"""
NOTES = """\
Over seeds: mean ± t·s/√n (Student's t, sample standard deviation s), cut to 0-100 %.
Over images: Wilson score interval of a single run, or of seeds that agree; it does not cover \
the choice of seed.
"""


def test_text_table_is_aligned_and_says_what_its_intervals_are(read):
    lines = zip(LEFT.splitlines(), RIGHT.splitlines(), strict=True)
    assert (
        table.text_table(read(ROWS)) == "".join(f"{left}{right}\n" for left, right in lines) + NOTES
    )


def test_markdown_table_escapes_names_and_notes_only_the_intervals_it_shows(read):
    assert table.markdown_table(read([row("a|<b>\nc", 0, 81 / 263)])) == (
        "| rung | trainable of total parameters | images drawn | validation accuracy "
        "| 95 % interval | validation loss | images/s | seconds |\n"
        "| :-- | --: | --: | --: | --: | --: | --: | --: |\n"
        "| a\\|&lt;b> c | 1,000 of 16,000 | 48,000 | 30.8 % "
        "| 25.5 to 36.6 % over 263 images | 0.500 | 812 | 60 |\n"
        "\n" + NOTES.splitlines(keepends=True)[1]
    )


def test_null_is_nan_and_a_diverged_seed_leaves_the_interval_undefined(read):
    diverged = row("frozen", 1, None, images_per_second=None)
    diverged["validation"]["loss"] = None
    results = read([row("frozen", 0, 0.9), diverged])
    assert math.isnan(results["rungs"][1]["validation"]["loss"])
    shown = table.cells(results)[0]
    assert shown == (
        "frozen",
        "1,000 of 16,000",
        "48,000",
        "NaN",
        "undefined, n = 2",
        "NaN",
        "NaN",
        "60",
    )
    assert table.interval_note(results) == ""


def test_a_run_of_old_that_recorded_no_images_has_its_epochs(read):
    old = row("frozen", 0, 0.9)
    del old["images_drawn"]
    assert table.cells(read([old]))[0][2] == "30 epochs"


def test_seeds_that_agree_have_the_interval_of_their_images(read):
    rows = [row("frozen", seed, 81 / 263) for seed in (0, 1)]
    assert table.cells(read(rows))[0][4] == "25.5 to 36.6 % over 263 images"


def test_rungs_keep_file_order_and_the_last_row_of_a_seed_counts(read):
    results = read([row("b", 1, 0.1), row("a", 0, 0.2), row("b", 0, 0.3), row("b", 1, 0.4)])
    accuracies = {
        n: [r["validation"]["accuracy"] for r in rows] for n, rows in by_rung(results).items()
    }
    assert accuracies == {"b": [0.3, 0.4], "a": [0.2]}
    assert list(accuracies) == ["b", "a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"data": {},\n "rungs": [}', r"results\.json: line 2: expected JSON"),
        ("[]", r"results\.json: line 1: expected a JSON object, found list"),
        ("\xff", r"results\.json: expected UTF-8 text"),
        (
            "[" * 100_000,
            r"results\.json: expected plain JSON, found numbers too long or nesting too deep",
        ),
        (
            "9" * 5000,
            r"results\.json: expected plain JSON, found numbers too long or nesting too deep",
        ),
        (
            json.dumps({"data": {}, "rungs": [row("a", 0, 0.5, seconds=10**400)]}),
            r"'seconds': expected a number, found",
        ),
        ('{"data": {}}', r"results\.json: 'rungs': expected a list, found null"),
        ('{"data": {}, "rungs": [3]}', r"rungs\[0\]: expected an object, found int"),
        (
            json.dumps({"data": {}, "rungs": [row("a", 0, 0.5, epochs="ten")]}),
            r"rungs\[0\] \(a, seed 0\): 'epochs': expected a whole number, found \"ten\"",
        ),
        (
            json.dumps({"data": {}, "rungs": [row("a", 0, 78.3)]}),
            r"'accuracy': expected 0 to 1, found 78\.3",
        ),
    ],
)
def test_garbled_results_are_named_in_one_line(tmp_path, text, message):
    path = tmp_path / "results.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=message) as caught:
        read_results(path)
    assert "\n" not in str(caught.value)


def test_missing_results_are_named(tmp_path):
    with pytest.raises(InputError, match=r"results\.json: expected a readable file: No such file"):
        read_results(tmp_path / "results.json")


SAID = (
    "finetune, seed 1: collapsed: "
    "training loss 0.693 from epoch 1 on is that of a constant prediction"
)


def test_what_collapsed_is_marked_and_told(read):
    ruined = {"learnt_nothing": False, "said": SAID}
    rows = [
        row(
            "scratch",
            0,
            0.5,
            collapsed={"learnt_nothing": True, "said": "scratch, seed 0: learnt | nothing"},
        ),
        row("frozen", 0, 0.9),
        row("finetune", 0, 0.9),
        row("finetune", 1, 0.9, collapsed=ruined),
    ]
    results = read(rows)
    names = [cells[0] for cells in table.cells(results)]
    assert names == ["scratch (learnt nothing)", "frozen", "finetune (collapsed in 1 of 2 seeds)"]
    assert table.alarms(results) == ["scratch, seed 0: learnt | nothing", SAID]
    lines = table.text_table(results).splitlines()
    assert lines[5:7] == table.alarms(results)
    assert "**scratch, seed 0: learnt \\| nothing**" in table.markdown_table(results).splitlines()
    assert table.alarms(read([row("scratch", 0, 0.5, collapsed="yes")])) == []  # of a stranger


def test_alarms_stand_beside_collapses(read):
    chance, sure = (
        {"kind": kind, "said": f"said {kind}"} for kind in ("at chance", "overconfident")
    )
    ruined = {"learnt_nothing": False, "said": "fell"}
    rows = [
        row("a", 0, 0.5, alarm=chance),
        row("b", 0, 0.9, alarm=sure),
        row("b", 1, 0.9, collapsed=ruined, alarm=sure),
    ]
    results = read([*rows, row("c", 0, 0.9)])
    names = [cells[0] for cells in table.cells(results)]
    assert names == [
        "a (at chance)",
        "b (overconfident in 2 of 2 seeds, collapsed in 1 of 2 seeds)",
        "c",
    ]
    assert table.alarms(results) == [
        "said at chance",
        "said overconfident (likewise seed 1)",
        "fell",
    ]
