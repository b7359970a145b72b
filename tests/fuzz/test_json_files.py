"""results.json, config.json and metrics.jsonl of a stranger: any JSON, JSON cut short, deep,
or no JSON at all.
"""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

STRICT = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
SCORES = {"loss": 0.5, "accuracy": 0.75}
COUNTS = {
    "epochs": 2,
    "trainable_params": 10,
    "total_params": 20,
    "seconds": 1.5,
    "images_per_second": 8.0,
}
RUNG = {"name": "frozen", "seed": 0, "validation": SCORES | {"n": 8}} | COUNTS
WHOLE = {
    "config": {"command": ["python"], "versions": {}},
    "results": {
        "data": {"source": "folder:x", "classes": ["a"]},
        "environment": {},
        "rungs": [RUNG],
    },
    "metrics": {"rung": "frozen", "seed": 0, "epoch": 1, "train": SCORES, "validation": SCORES},
}

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
anything = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner)
)


def changed(document, path, value):
    """The document with the value in place of what the path of choices leads to."""
    if not path or not isinstance(document, dict | list) or not document:
        return value
    keys = list(document) if isinstance(document, dict) else range(len(document))
    at = keys[path[0] % len(keys)]
    copy = document.copy()
    copy[at] = changed(document[at], path[1:], value)
    return copy


def contents(kind: str):
    """Encoded documents."""
    edited = st.builds(
        changed, st.just(WHOLE[kind]), st.lists(st.integers(0, 9), max_size=3), anything
    )
    encoded = (edited | anything).map(
        lambda document: json.dumps(document).encode(errors="surrogatepass")
    )
    cut = st.builds(lambda data, at: data[: int(at * len(data))], encoded, st.floats(0, 1))
    deep = st.integers(1, 200_000).map(lambda depth: b"[" * depth)
    return encoded | cut | deep | st.binary(max_size=40)


def run(reading, folder, *, kind: str, cases: int) -> None:
    read = reading(kind)

    @settings(STRICT, max_examples=cases)
    @given(contents(kind))
    def each(content):
        path = folder / f"{kind}.json"
        path.write_bytes(content)
        read(path)

    each()
    print(kind, read.counts)
    assert min(read.counts.values()) > 0


@pytest.mark.parametrize("kind", list(WHOLE))
def test_documents(reading, tmp_path, kind):
    run(reading, tmp_path, kind=kind, cases=200)


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(WHOLE))
def test_many_documents(reading, tmp_path, kind):
    run(reading, tmp_path, kind=kind, cases=2000)
