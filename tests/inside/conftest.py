"""Programs here run once: compiling takes most of the time."""

import pytest

from tljax.models import ops


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    monkeypatch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
