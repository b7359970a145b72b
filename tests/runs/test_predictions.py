"""Kept predictions are read back as they were written, or named as what they are not."""

import json

import numpy as np
import pytest

from tljax.errors import InputError
from tljax.runs import predictions
from tljax.runs.results import by_rung, read_results


@pytest.fixture
def run(tmp_path, write):
    write(tmp_path)
    return tmp_path


def read(run, **options):
    return predictions.read(run, read_results(run / "results.json"), **options)


def change(path, **fields):
    with np.load(path) as file:
        kept = {name: file[name] for name in file}
    np.savez(path, **{name: value for name, value in (kept | fields).items() if value is not None})


def test_a_sigmoid_is_two_classes_and_a_run_a_seed(run):
    found = read(run)
    assert list(found) == ["scratch", "frozen"]
    frozen = found["frozen"]
    assert (frozen.seeds, frozen.classes, frozen.ids[:2]) == (
        (0, 5),
        ("cat", "dog"),
        ("validation/0", "validation/1"),
    )
    with np.load(run / "predictions" / "frozen-seed5.npz") as file:
        z = file["logits"][:, 0].astype(float)
    assert frozen.logits.shape == (2, 40, 2)
    np.testing.assert_array_equal(frozen.logits[1], np.stack([0 * z, z], 1))
    np.testing.assert_allclose(frozen.probabilities[1, :, 1], 1 / (1 + np.exp(-z)))
    np.testing.assert_array_equal(frozen.predicted[1], z > 0)
    rows = by_rung(read_results(run / "results.json"))["frozen"]
    assert frozen.right.mean(1).tolist() == [row["validation"]["accuracy"] for row in rows]


def test_a_run_of_old_and_a_seed_of_old_leave_their_rung_out(run):
    (run / "predictions" / "scratch-seed5.npz").unlink()
    assert list(read(run)) == ["frozen"]
    assert read(run, split="test") == {}


def test_the_test_split_is_judged_where_there_is_one(run, write):
    write(run, splits=("validation", "test"))
    split, judged, fitted_on = predictions.held_out(run, read_results(run / "results.json"))
    assert (split, judged["frozen"].ids[0], fitted_on["frozen"].ids[0]) == (
        "test",
        "test/0",
        "validation/0",
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"logits": None},
            r"seed5\.npz: expected an \.npz with logits, labels, ids, classes, digest",
        ),
        (
            {"logits": np.zeros(3)},
            r"seed5\.npz: expected logits \[N, outputs\], N labels and N ids, found \(3,\)",
        ),
        (
            {"labels": np.zeros(3, int)},
            r"seed5\.npz: expected logits \[N, outputs\], N labels and N ids, found \(40, 1\)",
        ),
        (
            {"labels": np.full(40, 2)},
            r"seed5\.npz: labels: expected 0 to 1 for 2 classes, found 2",
        ),
        (
            {"logits": np.zeros((40, 3))},
            r"seed5\.npz: expected an output .* of 2 classes, found 3 outputs",
        ),
        ({"digest": np.array("other")}, r"seed5\.npz: expected data abc123, found other"),
        (
            {"ids": np.array(["x"] * 40)},
            r"seed5\.npz: expected the photographs and labels of frozen-seed0\.npz",
        ),
        (
            {"logits": np.zeros((40, 1))},
            r"seed5\.npz: expected accuracy .* as in results\.json, found 0\.5",
        ),
        ({"labels": np.array([None] * 40)}, r"seed5\.npz: expected an \.npz"),  # a pickle
    ],
)
def test_what_does_not_belong_is_named_in_one_line(run, fields, message):
    change(run / "predictions" / "frozen-seed5.npz", **fields)
    with pytest.raises(InputError, match=message) as caught:
        read(run)
    assert "\n" not in str(caught.value)


def test_a_diverged_rung_has_no_probabilities_and_is_left_out(run):
    logits = np.full((40, 1), np.nan)
    change(run / "predictions" / "frozen-seed5.npz", logits=logits)
    assert list(read(run)) == ["scratch"]


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 and no more"])
def test_half_a_file_is_named(run, data):
    (run / "predictions" / "frozen-seed0.npz").write_bytes(data)
    with pytest.raises(InputError, match=r"frozen-seed0\.npz: expected an \.npz"):
        read(run)


def test_rungs_of_other_photographs_are_not_paired(run):
    for seed in (0, 5):
        change(
            run / "predictions" / f"frozen-seed{seed}.npz",
            ids=np.array([f"x{i}" for i in range(40)]),
        )
    with pytest.raises(InputError, match="frozen: expected the photographs of the other rungs"):
        read(run)
    assert json.loads((run / "results.json").read_text())["rungs"]
