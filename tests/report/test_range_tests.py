"""Range tests that lie in a run's folder."""

import json

import numpy as np
import pytest

from tljax.errors import InputError
from tljax.report.pictures import range_tests
from tljax.train.lr_finder import Finding

FOUND = Finding(
    np.geomspace(1e-4, 1, 5), np.ones(5), np.array([1, 0.9, 0.5, 0.6, 2.0]), {"valley": 1e-3}
)


def keep(workdir, name, rung, seeds, **more):
    told = {"rung": rung, "seeds": {str(seed): FOUND.to_dict() for seed in seeds}, **more}
    (workdir / name).write_text(json.dumps(told))


def test_both_kinds_of_files_are_found_by_rung_and_drawn(tmp_path):
    keep(tmp_path, "lr_find_head-seed0.json", "head", [0])
    keep(tmp_path, "lr_find_head-seed5.json", "head", [5])
    keep(tmp_path, "lr_find.json", "a/b", [1, 2], arguments={"linear": True})
    tests = range_tests.read_range_tests(tmp_path)
    assert {rung: (list(found), linear) for rung, (found, linear) in tests.items()} == {
        "head": ([0, 5], False),
        "a/b": ([1, 2], True),
    }
    again = tests["head"][0][5]
    for name in range_tests.FIELDS:
        np.testing.assert_array_equal(getattr(again, name), getattr(FOUND, name))
    assert again.suggestions == {"valley": 1e-3}
    paths = range_tests.write_range_tests(tests, workdir=tmp_path)
    assert [path.name for path in paths] == ["range_test_head.png", "range_test_a%2Fb.png"]
    assert all(path.is_file() for path in paths)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"rung": "a"}', "expected the range test of each seed, found KeyError"),
        (
            '{"rung": "a", "seeds": {"0": {"rates": [1], "losses": [], "smoothed": [1]}}}',
            "lists of different lengths",
        ),
        ('{"rung": "a", "seeds": {}}', "expected a rung and its seeds, found 'a' and 0 seeds"),
        ("[", r"line 1: expected JSON"),
    ],
)
def test_a_garbled_file_is_named(tmp_path, text, message):
    (tmp_path / "lr_find_a.json").write_text(text)
    with pytest.raises(InputError, match=rf"lr_find_a\.json: .*{message}"):
        range_tests.read_range_tests(tmp_path)
