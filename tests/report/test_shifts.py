import numpy as np
import pytest

from tljax.report.pages import shifted as page
from tljax.report.pictures import moved
from tljax.report.pictures.shifted import write_path, write_ways
from tljax.report.stats.shifts import CORRUPTED, PLAIN, Judged
from tljax.report.tables import shifted as table

RNG = np.random.default_rng(0)
COLUMNS = {PLAIN: [PLAIN], CORRUPTED: ["fog 3", "fog 5"], "folder:other": ["folder:other"]}
SIZES = {PLAIN: 40, "fog 3": 40, "fog 5": 40, "folder:other": 10}


def judged():
    return Judged(
        {
            way: {name: RNG.random((3, size)) < share for name, size in SIZES.items()}
            for way, share in (("frozen", 0.6), ("finetune", 0.8))
        },
        COLUMNS,
    )


def test_a_column_is_the_mean_of_its_conditions_and_pairs_keep_photographs_together():
    right = {
        "a": {PLAIN: np.ones((1, 4), bool), "fog 3": np.array([[1, 1, 1, 0]], bool)},
        "b": {PLAIN: np.ones((1, 4), bool), "fog 3": np.array([[1, 0, 0, 0]], bool)},
    }
    right["a"]["fog 5"], right["b"]["fog 5"] = right["a"]["fog 3"], right["b"]["fog 3"]
    found = Judged(right, {PLAIN: [PLAIN], CORRUPTED: ["fog 3", "fog 5"]})
    assert found.seeds("a", CORRUPTED) == [0.75]
    difference = found.difference("a", "b", CORRUPTED)
    assert difference.value == pytest.approx(0.5)
    alone = Judged(right, {PLAIN: [PLAIN], CORRUPTED: ["fog 3"]}).difference("a", "b", CORRUPTED)
    assert (difference.interval.low, difference.interval.high) == pytest.approx(
        (alone.interval.low, alone.interval.high)  # the same photographs twice are not more of them
    )
    assert found.difference("a", "b", PLAIN).value == 0


def test_what_is_chosen_on_one_half_is_judged_on_the_other():
    """Way a is right on even photographs alone: chosen on them, it is wrong on the odd ones."""
    even = np.tile([True, False], (2, 10))
    found = Judged({"a": {PLAIN: even}, "b": {PLAIN: ~even}}, {PLAIN: [PLAIN]})
    assert not found.chosen(["a", "b"])[PLAIN].any()
    both = Judged({"a": {PLAIN: even | ~even}, "b": {PLAIN: even}}, {PLAIN: [PLAIN]})
    assert both.chosen(["a", "b"])[PLAIN].all()


def test_the_document_becomes_text_pictures_and_a_page(tmp_path):
    document = {"about": "Forty <photographs>.", **judged().to_dict([("finetune", "frozen")])}
    lines = table.text(document).splitlines()
    assert lines[0].split() == [
        "as",
        "they",
        "are",
        "(40)",
        "corrupted",
        "(40)",
        "folder:other",
        "(10)",
    ]
    assert [line.split()[0] for line in lines[2:4]] == ["frozen", "finetune"]
    assert len(table.sentences(document)) == 3
    assert write_ways(document, title="T", path=tmp_path / "shifted.png").stat().st_size > 5000
    drawn = write_path(document, [0, 1], title="T", ends=("f", "t"), path=tmp_path / "path.png")
    assert drawn.stat().st_size > 5000
    text = page.write(document, folder=tmp_path, name="shifted", title="On <others>").read_text()
    assert "Forty &lt;photographs&gt;." in text
    assert '<th scope="row">fog</th>' in text
    assert text.count("data:image/png") == 1


def test_the_page_of_a_run_has_the_part_only_where_it_was_judged(tmp_path):
    assert page.of_run(tmp_path) == []


def test_movement_is_drawn_where_a_layer_moved(tmp_path):
    still = {"frozen": {"0": {"conv1": 0.0, "conv2": 0.0}}}
    assert moved.write_moved({"moved": still}, workdir=tmp_path) is None
    far = {
        **still,
        "finetune": {"0": {"conv1": 0.0, "conv2": 0.02}, "1": {"conv1": 0.0, "conv2": 0.04}},
    }
    assert moved.curves({"moved": far}) == {
        "finetune": {"conv1": [0.0, 0.0], "conv2": [0.02, 0.04]}
    }
    assert moved.write_moved({"moved": far}, workdir=tmp_path).stat().st_size > 5000
    assert moved.curves({}) == {}


def test_sentences_say_what_is_shown_first_and_the_rest_together():
    right = np.tile([True, False], (3, 20))
    ways = {"better": right | True, "alike": right.copy(), "base": right}
    found = Judged({way: {PLAIN: each} for way, each in ways.items()}, {PLAIN: [PLAIN]})
    document = found.to_dict([("alike", "base"), ("better", "base")])
    line = table.sentences({**document})[0]
    assert line.startswith("as they are: better beats base by 50.0 points [")
    assert line.endswith("no difference shown: alike against base (the same on each example)")
