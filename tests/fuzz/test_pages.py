"""Names of a stranger in page, table and Markdown: no markup,
nothing that hides or turns what is beside it.
"""

import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

STRICT = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
PIECES = (
    "<img src=x onerror=alert(1)>",
    "</td><script>alert(1)</script>",
    '"><b onmouseover="',
    "'",
    "`|`",
    "\n# heading\n",
    "| a | b |",
    "[x](javascript:alert(1))",
    "\u202eexe.gpj",
    "\u2066\u200f\u200b",
    "\x1b[31m",
    "\0",
    "\u2028",
    "&lt;",
    "<!--",
    "]]>",
    "$x_1$",
    "\ud800",
    "ok",
    "long " * 60,
)
names = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), min_size=1, max_size=3).map("".join)
COUNTS = {
    "epochs": 2,
    "trainable_params": 10,
    "total_params": 20,
    "seconds": 1.5,
    "images_per_second": 8.0,
}
SCORES = {"loss": 0.5, "accuracy": 0.75}


def document(rungs, classes, source, word) -> dict:
    rows = [
        {"name": name, "seed": 0, "validation": SCORES | {"n": 8}} | COUNTS
        for name in dict.fromkeys(rungs)
    ]
    return {
        "results": {
            "data": {"source": source, "classes": classes, "skipped": [source]},
            "rungs": rows,
        },
        "config": {"command": ["python", word], "versions": {word: word}, "device": word},
        "metrics": [
            {"rung": name, "seed": 0, "epoch": 1, "train": SCORES, "validation": SCORES}
            for name in rungs
        ],
    }


DOCUMENTS = st.builds(
    document, st.lists(names, min_size=1, max_size=3), st.lists(names, max_size=3), names, names
)


def run(reading, folder, *, cases):
    read, path = reading("page"), folder / "run"

    @settings(STRICT, max_examples=cases)
    @given(DOCUMENTS)
    def each(told):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        (path / "results.json").write_text(json.dumps(told["results"]))
        (path / "config.json").write_text(json.dumps(told["config"]))
        (path / "metrics.jsonl").write_text(
            "".join(f"{json.dumps(line)}\n" for line in told["metrics"])
        )
        read(path)

    each()
    print("page", read.counts)
    assert read.counts["read"] > cases // 2


def test_names(reading, tmp_path):
    run(reading, tmp_path, cases=200)


@pytest.mark.slow
def test_many_names(reading, tmp_path):
    run(reading, tmp_path, cases=2000)
