"""cats_vs_dogs as a TFDS data set, prepared from the published archive without TensorFlow.

TFDS's own builder keeps the same photographs, but needs TensorFlow to unpack the archive and to
encode each JPEG again; here they are kept as published.
"""

import contextlib
import dataclasses
import functools
import io
import pathlib
import re
import sys
import zipfile
from collections.abc import Callable, Iterator

import tensorflow_datasets as tfds

from tljax import waiting
from tljax.data import photos
from tljax.errors import InputError
from tljax.files.download import Download, fetch

NAME = "cats_vs_dogs"
PUBLISHED = Download(
    url="https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/"
    "kagglecatsanddogs_5340.zip",
    size=824887076,
    sha256="b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
)
DESCRIPTION = "Photographs of cats and dogs, without those that are not JFIF or do not decode."
MAX_BYTES = 64 << 20
PHOTO = re.compile(r"PetImages[\\/](Cat|Dog)[\\/]\d+\.jpg")


@dataclasses.dataclass
class Counts:
    """The archive's photographs, counted by outcome."""

    kept: int = 0
    not_jfif: int = 0  # TFDS leaves these out: 1,738 in the published archive
    corrupt: int = 0


def prepare(data_dir: pathlib.Path, *, archive: Download, progress: bool) -> Counts:
    """Download the archive to `data_dir`/downloads and write `data_dir`/cats_vs_dogs/4.0.1 from it.

    The set appears whole or not at all. InputError where the download or the writing fails.
    """
    path = data_dir / "downloads" / archive.url.rsplit("/", 1)[-1]
    fetch(archive, path, progress=progress)
    counts = Counts()
    tfds.disable_progress_bar()  # ours runs
    try:
        builder = CatsVsDogs(archive=path, counts=counts, progress=progress, data_dir=data_dir)
        with contextlib.redirect_stdout(sys.stderr):  # stdout belongs to the caller
            builder.download_and_prepare(file_format="array_record")
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: {NAME} cannot be prepared in {data_dir} ({error})") from None
    if progress:
        dropped = f"{counts.not_jfif} not JFIF and {counts.corrupt} corrupt left out"
        waiting.say(f"{NAME}: {counts.kept} photographs kept, {dropped}", file=sys.stderr)
    return counts


def members(path: pathlib.Path) -> Iterator[tuple[str, str, int, Callable[[], bytes]]]:
    """Yield `(name, "Cat" or "Dog", number of photographs, read)` of each photograph.

    `read()` returns its bytes. They are read in memory, by names that match one pattern: nothing in
    the archive decides where to write. BadZipFile for what is damaged, encrypted or much too large
    for a photograph.
    """
    try:
        archive = zipfile.ZipFile(path)
        matches = [match for name in archive.namelist() if (match := PHOTO.fullmatch(name))]
    except Exception as error:  # zipfile raises half a dozen kinds for damage
        raise zipfile.BadZipFile(_line(error)) from None
    with archive:
        for match in matches:
            name, kind = match.group(0), match.group(1)
            yield name, kind, len(matches), functools.partial(_read, archive, name)


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read a member's bytes and check its CRC."""
    size = archive.getinfo(name).file_size
    if size > MAX_BYTES:
        raise zipfile.BadZipFile(
            f"{name}: declares {size} bytes, expected a photograph of at most {MAX_BYTES}"
        )
    try:
        return archive.read(name)
    except Exception as error:
        raise zipfile.BadZipFile(f"{name}: {_line(error)}") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


class CatsVsDogs(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # TFDS has one too
    """A builder with the stock builder's features, names and version; one split."""

    name = NAME
    VERSION = tfds.core.Version("4.0.1")

    def __init__(
        self, *, archive: pathlib.Path, counts: Counts, progress: bool, data_dir: pathlib.Path
    ):
        self._archive, self._counts, self._progress = archive, counts, progress
        super().__init__(data_dir=data_dir)

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "image/filename": tfds.features.Text(),
            "label": tfds.features.ClassLabel(names=["cat", "dog"]),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=DESCRIPTION,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            homepage="https://www.microsoft.com/en-us/download/details.aspx?id=54765",
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        bar = waiting.bar(None, f"prepare {NAME}", unit="photographs", shown=self._progress)
        with photos.pillow_warnings(), bar:
            for name, animal, bar.total, read in members(self._archive):
                data = read()
                if self._good(data, name):
                    label = animal.lower()
                    yield name, {"image": io.BytesIO(data), "image/filename": name, "label": label}
                bar.update()

    def _good(self, data: bytes, name: str) -> bool:
        """Count the photograph and decide whether to keep it."""
        if b"JFIF" not in data[:10]:
            self._counts.not_jfif += 1
            return False
        try:
            photos.decode(data, size=1, name=name)
        except photos.CorruptPhoto:
            self._counts.corrupt += 1
            return False
        self._counts.kept += 1
        return True
