"""Metrics from lines, as a run would write them."""

import pytest

from tljax.report import records


@pytest.fixture
def read(tmp_path):
    def read(*lines: str) -> dict:
        path = tmp_path / "metrics.jsonl"
        path.write_text("".join(text + "\n" for text in lines))
        return records.read_metrics(path)

    return read
