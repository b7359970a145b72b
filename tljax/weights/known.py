"""Published weights by name, from where their base says that they are."""

import dataclasses
from pathlib import Path

import jax

from tljax.data.cache import default_folder
from tljax.errors import InputError
from tljax.files.download import Download, fetch, matches
from tljax.files.packaged import Packaged, located
from tljax.models.build import BASES
from tljax.weights import hub
from tljax.weights.contents import Weights
from tljax.weights.formats import read

# Each base says what was published for it: a download, or a file of a package on the index.
FILES = {
    name: file for architecture in BASES.values() for name, file in architecture.published.items()
}


def load(name_or_path: str | Path, *, progress: bool = True) -> Weights:
    """Load weights by a known name, or from a file of any known format.

    A named file is downloaded at first use, or found in an installed package, and verified each
    time.
    """
    name = str(name_or_path)
    if name.startswith(hub.PREFIX):
        return _from_hub(hub.fetch(name, progress))
    weights = read(file_of(name, progress=progress))
    if name not in FILES:
        return weights
    file = FILES[name]
    origin = {"package": file.package} if isinstance(file, Packaged) else {"url": file.url}
    return dataclasses.replace(weights, provenance=weights.provenance | {"name": name, **origin})


def listed(like: jax.ShapeDtypeStruct) -> str:
    """Name the published weights for examples of this kind, and where each comes from."""
    taken = [each for each in BASES.values() if each.example(8).dtype == like.dtype]
    files = {name: file for each in taken for name, file in each.published.items()}
    installed = [name for name, file in files.items() if isinstance(file, Packaged)]
    fetched = [name for name in files if name not in installed]
    kinds = {"downloaded once": fetched, "in a package": installed}
    return ", ".join(f"{', '.join(names)} ({how})" for how, names in kinds.items() if names)


def file_of(name_or_path: str | Path, *, progress: bool = True) -> Path:
    """Return the verified file of a known name, or the path itself.

    InputError if there is neither.
    """
    name = str(name_or_path)
    if name.startswith(hub.PREFIX):
        return hub.fetch(name, progress).path
    if name in FILES:
        file = FILES[name]
        if isinstance(file, Packaged):
            return located(file)
        return _fetched(name, file, progress=progress)
    if not Path(name).exists():
        raise InputError(
            f"{name}: expected a weights file, hf:OWNER/REPO, or one of {', '.join(FILES)}, "
            "found nothing"
        )
    return Path(name)


def _from_hub(file: hub.HubFile) -> Weights:
    """Read a file of the hub: its config.json knows more than its names do."""
    weights = read(file.path)
    architecture = weights.architecture | {"size": file.size}
    return dataclasses.replace(
        weights,
        architecture=architecture,
        preprocess=file.preprocess,
        classes=file.classes if weights.top else (),
        provenance=weights.provenance | file.provenance,
    )


def cached(file: Download) -> Path:
    """Return where a download is kept: in `$XDG_CACHE_HOME/tljax/weights`."""
    return default_folder() / "weights" / file.url.rsplit("/", 1)[-1]


def _fetched(name: str, file: Download, *, progress: bool) -> Path:
    """Download and verify the file; InputError says what to do without a connection."""
    path = cached(file)
    try:
        fetch(file, path, progress=progress)
    except InputError as error:
        other = path.is_file() and not matches(file, path)
        place = f"{path} (the file there now has other bytes)" if other else str(path)
        hint = (
            f"without a connection, fetch it by hand and put it at {place}, "
            "or give a file: --weights FILE"
        )
        raise InputError(f"{name}: {error}; {hint}") from None
    return path
