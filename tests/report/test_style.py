"""Pictures are saved whole."""

import pytest

from tljax.errors import InputError
from tljax.report import style


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("disk full")

    monkeypatch.setattr(style.os, "replace", refuse)
    with pytest.raises(InputError, match=r"x\.png: cannot be written: disk full"):
        style.write_atomically(tmp_path / "x.png", b"data")
    assert list(tmp_path.iterdir()) == []
