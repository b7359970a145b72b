"""What is read from metrics.jsonl."""

import json

import numpy as np
import pytest

from tljax.errors import InputError
from tljax.runs import metrics


def line(
    rung: str, seed: int, epoch: int, loss: float | None, accuracy: float | None = 0.75
) -> str:
    train = {"loss": 0.25, "accuracy": 0.875}
    validation = {"loss": loss, "accuracy": accuracy}
    return json.dumps(
        {"rung": rung, "seed": seed, "epoch": epoch, "train": train, "validation": validation}
    )


def test_a_resumed_run_appends_and_the_last_line_wins(read):
    runs = read(
        line("b", 0, 1, 3.0), line("b", 0, 2, 9.0), line("a", 1, 1, 7.0), "", line("b", 0, 2, 2.0)
    )
    assert list(runs) == ["b", "a"]
    np.testing.assert_array_equal(runs["b"][0]["epoch"], [1, 2])
    np.testing.assert_array_equal(runs["b"][0]["validation/loss"], [3.0, 2.0])
    np.testing.assert_array_equal(runs["a"][1]["train/accuracy"], [0.875])


def test_null_and_nan_are_nan(read):
    runs = read(line("a", 0, 1, None), line("a", 0, 2, float("nan")))
    np.testing.assert_array_equal(runs["a"][0]["validation/loss"], [np.nan, np.nan])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"rung": "a", "se', r"metrics\.jsonl: line 2: expected a JSON object"),
        ("7", r"line 2: expected a JSON object, found int"),
        ("[" * 100_000, r"line 2: expected a JSON object: maximum recursion depth exceeded"),
        (
            line("a", 0, 1, 0.5).replace('"epoch"', '"step"'),
            r"line 2: 'epoch': expected a whole number",
        ),
        (
            line("a", 0, 1, 0.5).replace('"train"', '"t"'),
            r"line 2: 'train': expected an object, found null",
        ),
        (
            line("a", 0, 1, 0.5).replace("0.875", '"high"'),
            r"line 2: train: 'accuracy': expected a number",
        ),
    ],
)
def test_a_garbled_line_is_named(read, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read(line("a", 0, 1, 0.5), text)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"metrics\.jsonl: expected a readable file"):
        metrics.read_metrics(tmp_path / "metrics.jsonl")


def test_the_records_of_one_rung_and_seed(tmp_path):
    """In order, the last of each epoch, null as NaN, without half a line at the end."""
    path = tmp_path / "metrics.jsonl"
    lines = [
        line("a", 0, 2, 1.0),
        line("b", 0, 1, 5.0),
        line("a", 1, 1, 6.0),
        line("a", 0, 1, None),
    ]
    path.write_text("\n".join([*lines, line("a", 0, 2, 3.0), line("a", 0, 3, 4.0)[:-9]]))
    found = metrics.read_records(path, rung="a", seed=0)
    assert [record["epoch"] for record in found] == [1, 2]
    assert np.isnan(found[0]["validation"]["loss"])
    assert found[1] == json.loads(line("a", 0, 2, 3.0))
    path.write_text("\n".join([*lines, line("a", 0, 2, 3.0), ""]))
    read = metrics.read_metrics(path)["a"][0]
    arranged = metrics.series(metrics.read_records(path, rung="a", seed=0))
    assert arranged.keys() == read.keys()
    for name in read:
        np.testing.assert_array_equal(arranged[name], read[name])
    path.write_text("[1]\n")
    with pytest.raises(InputError, match="line 1: expected a JSON object, found list"):
        metrics.read_records(path, rung="a", seed=0)
