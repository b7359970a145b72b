import pytest

from tljax.errors import InputError
from tljax.optim import rules

PARAMS = {
    "base": {
        "block1_conv1": {"kernel": 1, "bias": 2},
        "block5_conv1": {"kernel": 3, "norm": {"scale": 4}},
    },
    "head": {"fc1": {"kernel": 5}},
}
PATHS = (
    "base/block1_conv1/kernel",
    "base/block1_conv1/bias",
    "base/block5_conv1/kernel",
    "base/block5_conv1/norm/scale",
    "head/fc1/kernel",
)
FINE_TUNE = [("head/.*", 1.0), ("base/block5_.*", 0.1), (".*", None)]


def test_the_first_match_decides():
    assert rules.labels(PATHS, FINE_TUNE) == {
        "base/block1_conv1/kernel": ".*",
        "base/block1_conv1/bias": ".*",
        "base/block5_conv1/kernel": "base/block5_.*",
        "base/block5_conv1/norm/scale": "base/block5_.*",
        "head/fc1/kernel": "head/.*",
    }
    kernels_first = rules.labels(PATHS, [(".*/kernel", 2.0), *FINE_TUNE[1:]])
    assert (
        kernels_first["base/block5_conv1/kernel"] == kernels_first["head/fc1/kernel"] == ".*/kernel"
    )
    assert kernels_first["base/block5_conv1/norm/scale"] == "base/block5_.*"


def test_a_pattern_must_match_the_whole_path():
    assert rules.labels(["head", "a/head", "head/b"], [("head", 1.0), (".*", None)]) == {
        "head": "head",
        "a/head": ".*",
        "head/b": ".*",
    }


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            [("head/.*", 1.0), ("base/block5_.*", None)],
            "no rule covers the parameter 'base/block1_conv1/kernel'",
        ),
        (
            [("head/.*", 1.0), ("base/blok5.*", 1.0), (".*", None)],
            "'base/blok5.*' decides no parameter",
        ),
        (
            [(".*", None), ("head/.*", 1.0)],
            "'head/.*' decides no parameter",
        ),  # matches, but too late
        ([("head/.*", 1.0), (".*", None), ("head/.*", 2.0)], "'head/.*' is listed twice"),
        ([("head/(", 1.0), (".*", None)], r"'head/\(' is not a regular expression"),
        (
            [("head/.*", 0.0), (".*", None)],
            "'head/.*' has multiplier 0.0; a positive number, a LowRank, or None to freeze",
        ),
        ([("head/.*", -1.0), (".*", None)], "multiplier -1.0"),
        ([("head/.*", float("nan")), (".*", None)], "multiplier nan"),
        ([("head/.*", float("inf")), (".*", None)], "multiplier inf"),
        ([("head/.*", "fast"), (".*", None)], "multiplier 'fast'"),
    ],
)
def test_rules_fail_loudly(bad, message):
    with pytest.raises(InputError, match=message) as caught:
        rules.labels(PATHS, bad)
    assert "\n" not in str(caught.value)


def test_split_and_merge_are_inverse():
    trainable, frozen = rules.split(PARAMS, FINE_TUNE)
    assert trainable == {
        "base/block5_conv1/kernel": 3,
        "base/block5_conv1/norm/scale": 4,
        "head/fc1/kernel": 5,
    }
    assert frozen == {"base/block1_conv1/kernel": 1, "base/block1_conv1/bias": 2}
    assert rules.merge(trainable, frozen) == PARAMS
    assert rules.split(PARAMS, [(".*", 1.0)])[1] == {}
    assert rules.split(PARAMS, [(".*", None)])[0] == {}


def test_multipliers_are_those_of_the_rules_that_train():
    assert rules.multipliers(FINE_TUNE) == {"head/.*": 1.0, "base/block5_.*": 0.1}


def test_a_layer_is_frozen_when_nothing_in_it_trains():
    assert rules.frozen_layers(PARAMS, FINE_TUNE) == {"base/block1_conv1"}
    assert rules.frozen_layers(PARAMS, [("head/.*", 1.0), (".*", None)]) == {
        "base",
        "base/block1_conv1",
        "base/block5_conv1",
        "base/block5_conv1/norm",
    }
    # One bias that trains wakes its layer, and the base around it, but not the normalisation of
    # another.
    assert rules.frozen_layers(PARAMS, [(".*/bias|head/.*", 1.0), (".*", None)]) == {
        "base/block5_conv1",
        "base/block5_conv1/norm",
    }
    assert rules.frozen_layers(PARAMS, [(".*", 1.0)]) == frozenset()


def test_discriminative_rates_shrink_towards_the_input():
    groups = [["base/block1_.*", "base/block2_.*"], "base/block5_.*", "head/.*"]
    assert rules.discriminative(groups, factor=4.0, freeze="base/.*") == (
        ("head/.*", 1.0),
        ("base/block5_.*", 0.25),
        ("base/block1_.*", 0.0625),
        ("base/block2_.*", 0.0625),
        ("base/.*", None),
    )
    assert rules.discriminative(["a", "b"], factor=1) == (("b", 1.0), ("a", 1.0))
    for factor in (0.5, float("nan")):
        with pytest.raises(InputError, match="factor must be 1 or more"):
            rules.discriminative(groups, factor=factor)
