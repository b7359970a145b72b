"""cats_vs_dogs from an archive of the published shape, on a server of our own.

The test environment has no TensorFlow, so each of these tests does without.
"""

import functools
import hashlib
import http.server
import io
import pathlib
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image

from tljax.data import Places, cats_vs_dogs, load
from tljax.data.cats_vs_dogs import Counts
from tljax.errors import InputError
from tljax.files.download import Download


def jpeg(level: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (32, 24), (level, level, level)).save(out, "JPEG", quality=100)
    return out.getvalue()


def exif_only(level: int) -> bytes:
    """A JPEG that begins with an EXIF segment in place of the JFIF one."""
    data = jpeg(level)
    assert data[:11] == b"\xff\xd8\xff\xe0\x00\x10JFIF\0"
    return data[:2] + data[20:]


def archive(**more: bytes) -> bytes:
    """Cats 0 to 9 at level 10 i, dogs at 10 i + 5, in the layout of the published archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for i in range(10):
            file.writestr(f"PetImages/Cat/{i}.jpg", jpeg(10 * i))
            file.writestr(f"PetImages/Dog/{i}.jpg", jpeg(10 * i + 5))
        file.writestr("PetImages/Cat/100.jpg", exif_only(1))
        file.writestr("PetImages/Dog/101.jpg", b"<html>gone</html>")
        file.writestr("PetImages/Dog/102.jpg", jpeg(3)[:400])
        file.writestr("PetImages/Cat/Thumbs.db", b"x")
        file.writestr("PetImages/Cat/../../../evil.jpg", jpeg(4))
        file.writestr("/PetImages/Cat/103.jpg", jpeg(4))
        file.writestr("readme[1].txt", b"about")
    return out.getvalue()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Quiet."""


REAL = cats_vs_dogs.PUBLISHED


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """No test asks the real server, whatever goes wrong."""
    monkeypatch.setattr(
        cats_vs_dogs, "PUBLISHED", Download(url="http://127.0.0.1:1/x.zip", size=1, sha256="0")
    )


@pytest.fixture
def site(tmp_path):
    """(folder that is served, its address)."""
    folder = tmp_path / "site"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def published(site, data: bytes) -> Download:
    folder, address = site
    (folder / "pets.zip").write_bytes(data)
    return Download(
        url=f"{address}/pets.zip", size=len(data), sha256=hashlib.sha256(data).hexdigest()
    )


def loaded(tmp_path: pathlib.Path, **options):
    places = Places(tmp_path / "cache", tmp_path / "tfds")
    return load("tfds:cats_vs_dogs", size=4, places=places, **{"progress": False} | options)


def test_the_published_archive_is_the_one_that_tfds_names():
    """Name, size and sha256 as in TFDS's url_checksums/cats_vs_dogs.txt."""
    import tensorflow_datasets as tfds

    table = pathlib.Path(tfds.__file__).parent / "url_checksums" / "cats_vs_dogs.txt"
    assert table.read_text().split() == [
        REAL.url,
        str(REAL.size),
        REAL.sha256,
        "kagglecatsanddogs_5340.zip",
    ]


def test_prepared_from_the_archive_on_first_use(tmp_path, site, monkeypatch):
    """The level of a photograph says which it is."""
    monkeypatch.setattr(cats_vs_dogs, "PUBLISHED", published(site, archive()))
    sets = loaded(tmp_path, validation_fraction=0.3)
    assert sets.classes == ("cat", "dog")
    assert np.bincount(sets.train.labels).tolist() == [7, 7]
    assert np.bincount(sets.validation.labels).tolist() == [3, 3]
    seen = {}
    for split in (sets.train, sets.validation):
        for image, label, name in zip(split.images, split.labels, split.ids, strict=True):
            animal, number = name.removesuffix(".jpg").split("/")[-2:]
            assert name == f"train/PetImages/{('Cat', 'Dog')[label]}/{number}.jpg"
            assert abs(int(image[0, 0, 0]) - (10 * int(number) + 5 * label)) <= 1
            seen[animal, number] = True
    assert len(seen) == 20


def test_a_prepared_set_needs_neither_the_archive_nor_a_server(tmp_path, site, monkeypatch):
    monkeypatch.setattr(cats_vs_dogs, "PUBLISHED", published(site, archive()))
    first = loaded(tmp_path)
    monkeypatch.setattr(
        cats_vs_dogs, "PUBLISHED", Download(url="http://127.0.0.1:1/x.zip", size=1, sha256="0")
    )
    (tmp_path / "tfds/downloads/pets.zip").unlink()
    assert loaded(tmp_path).digest == first.digest


def test_what_is_left_out_is_counted_and_said(tmp_path, site, capsys):
    counts = cats_vs_dogs.prepare(
        tmp_path / "tfds", archive=published(site, archive()), progress=True
    )
    assert counts == Counts(kept=20, not_jfif=2, corrupt=1)
    out, err = capsys.readouterr()
    assert "20 photographs kept, 2 not JFIF and 1 corrupt left out" in err
    assert out == ""


def test_the_records_hold_the_published_bytes_and_tfds_reads_them(tmp_path, site):
    import tensorflow_datasets as tfds

    cats_vs_dogs.prepare(tmp_path / "tfds", archive=published(site, archive()), progress=False)
    builder = tfds.builder_from_directory(tmp_path / "tfds/cats_vs_dogs/4.0.1")
    assert builder.info.features["label"].names == ["cat", "dog"]
    records = builder.as_data_source(split="train", decoders={"image": tfds.decode.SkipDecoding()})
    by_name = {record["image/filename"].decode(): record for record in records}
    assert by_name["PetImages/Dog/7.jpg"]["image"] == jpeg(75)
    assert by_name["PetImages/Dog/7.jpg"]["label"] == 1
    assert len(by_name) == 20


def test_no_member_of_the_archive_is_written_where_it_says(tmp_path, site):
    cats_vs_dogs.prepare(tmp_path / "a/b/tfds", archive=published(site, archive()), progress=False)
    assert not list(tmp_path.rglob("*.jpg"))


def test_a_wrong_hash_prepares_nothing(tmp_path, site, monkeypatch):
    right = published(site, archive())
    wrong = Download(url=right.url, size=right.size, sha256="0" * 64)
    monkeypatch.setattr(cats_vs_dogs, "PUBLISHED", wrong)
    with pytest.raises(InputError, match=r"pets\.zip: expected sha256 0{64}, found"):
        loaded(tmp_path)
    assert [p for p in (tmp_path / "tfds").rglob("*") if p.is_file()] == []


def test_an_archive_that_is_no_archive_leaves_no_set(tmp_path, site):
    with pytest.raises(
        InputError, match=r"pets\.zip: cats_vs_dogs cannot be prepared in .*not a zip"
    ) as caught:
        cats_vs_dogs.prepare(
            tmp_path / "tfds", archive=published(site, b"not a zip"), progress=False
        )
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "tfds").rglob("*array_record*"))
    assert not (tmp_path / "tfds/cats_vs_dogs/4.0.1").exists()
