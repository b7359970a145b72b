"""What each rung trained and cost, as texts."""

import pytest

from tljax.errors import InputError
from tljax.report.tables import costs

ROW = {
    "name": "head",
    "seed": 0,
    "trainable_params": 250,
    "total_params": 1000,
    "seconds": 12.25,
    "features_seconds": 4.0,
    "compile_seconds": 1.24,
    "train_seconds": 6.5,
    "images_per_second": 1500.0,
    "step_flops": 4.62e9,
    "temporary_bytes": 3.2e6,
}
PLAN = {
    "head": {
        "stage": {"rules": [["head/.*", 1.0], ["base/block5_conv1/.*", 0.1], ["base/.*", None]]}
    }
}


SECONDS = ("4.0", "1.2", "6.5", "1.3", "13")  # features, compiling, training, the rest, all


def test_means_over_seeds_and_what_trains():
    rows = costs.rows(
        {"rungs": [ROW, ROW | {"seed": 1, "seconds": 13.75, "images_per_second": 500.0}]}, PLAN
    )
    assert rows == [
        ("head", "head, block5_conv1", "250 (25\xa0%)", "4.62 G", "3.2 MB", "1,000", *SECONDS)
    ]


def test_a_run_of_old_says_what_it_does_not_know():
    old = {
        name: ROW[name] for name in ("name", "seed", "trainable_params", "total_params", "seconds")
    }
    assert costs.rows({"rungs": [old | {"step_flops": None}]}, {"head": 7}) == [
        ("head", "unknown", "250 (25\xa0%)", *["unknown"] * 7, "12")
    ]


def test_a_rung_that_was_solved_says_so_and_how():
    held = {"accuracy": 0.9137, "loss": 0.2283}
    row = ROW | {
        "strength": 3.16e-5,
        "cross_validation": {"folds": 5, "held_out": held},
        "step_flops": None,
    }
    assert costs.rows({"rungs": [row]}, PLAN) == [
        (
            "head",
            "head, block5_conv1",
            "250 (25\xa0%)",
            "solved",
            "-",
            "-",
            "4.0",
            "-",
            "-",
            "0.5",
            "12",
        )
    ]
    assert costs.solutions({"rungs": [ROW | {"seed": 1}, row]}) == [
        "head, seed 0: solved at strength 3.2e-05, chosen by 5 folds of the training images: "
        "91.4 %, loss 0.228."
    ]
    with pytest.raises(
        InputError, match=r"^head, seed 0: 'cross_validation': expected an object, found 7$"
    ):
        costs.solutions({"rungs": [row | {"cross_validation": 7}]})


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 B"), (999, "999 B"), (1e3, "1 kB"), (2.345e12, "2.35 TB")]
)
def test_sizes_have_their_unit(value, text):
    assert costs.scaled(value, "B") == text


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("head/.*", "head"),
        ("base/block5_.*", "block5"),
        (".*", "everything"),
        ("base/.*", "base"),
        ("a/b", "a/b"),
    ],
)
def test_patterns_as_people_say_them(pattern, said):
    assert costs.readable(pattern) == said
