"""Prepared TFDS sets: labels, names, splits, our own colours, and every damage.

The test environment has no TensorFlow, so each of these tests does without.
"""

import io
import pathlib

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from tljax.data import Places, load
from tljax.errors import InputError


def png(level: int) -> io.BytesIO:
    """A palette image whose colours are not its indices."""
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, level, 200, 30])
    out = io.BytesIO()
    image.save(out, "PNG")
    out.seek(0)
    return out


class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """`sizes` examples per split; the level is the example's number over all splits,
    the label its parity.
    """

    name = "tiny"
    VERSION = tfds.core.Version("1.2.0")

    def __init__(self, *, sizes: dict[str, int], more: dict, label=None, **kwargs):
        self.sizes, self.more, self.label = sizes, more, label
        super().__init__(**kwargs)

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=["zebra", "ant"]),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features | self.more)
        )

    def _split_generators(self, dl_manager):
        starts = np.cumsum([0, *self.sizes.values()])
        return {
            split: self._generate_examples(int(start), count)
            for start, (split, count) in zip(starts, self.sizes.items(), strict=False)
        }

    def _generate_examples(self, start: int, count: int):
        for i in range(start, start + count):
            extra = {key: f"photo{i}.png" if key == "file_name" else 0 for key in self.more}
            yield i, {"image": png(i), "label": i % 2 if self.label is None else self.label} | extra


@pytest.fixture(scope="session", autouse=True)
def quiet():
    tfds.disable_progress_bar()


def prepared(
    folder: pathlib.Path, *, more: dict | None = None, label=None, format="array_record", **sizes
) -> pathlib.Path:
    builder = Tiny(sizes=sizes, more=more or {}, label=label, data_dir=folder / "tfds")
    builder.download_and_prepare(file_format=format)
    return folder


def loaded(folder: pathlib.Path, name: str = "tiny", **options):
    usual = {"size": 4, "progress": False, "places": Places(folder / "cache", folder / "tfds")}
    return load(f"tfds:{name}", **usual | options)


def levels(split) -> list[int]:
    """The red channel: the example's number, which also says its label."""
    assert (split.images[..., 1:] == [200, 30]).all()
    return split.images[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("other", ["validation", "test"])
def test_a_prepared_set_with_its_own_splits(tmp_path, other):
    sets = loaded(prepared(tmp_path, train=10, **{other: 4}))
    assert sets.classes == ("zebra", "ant")
    assert sorted(levels(sets.train)) == list(range(10))
    assert sorted(levels(sets.validation)) == [10, 11, 12, 13]
    for split in (sets.train, sets.validation):
        assert split.labels.tolist() == [level % 2 for level in levels(split)]
        assert split.labels.dtype == np.int32
        assert isinstance(split.images, np.memmap)
    assert sets.validation.ids == tuple(f"{other}/00000{i}" for i in range(4))


def test_validation_goes_before_test(tmp_path):
    sets = loaded(prepared(tmp_path, train=4, test=2, validation=3))
    assert sorted(levels(sets.validation)) == [6, 7, 8]
    assert sorted(levels(sets.test)) == [4, 5]


def test_a_set_of_one_split_is_split_by_us(tmp_path):
    sets = loaded(prepared(tmp_path, train=40), validation_fraction=0.25)
    assert np.bincount(sets.train.labels).tolist() == [15, 15]
    assert np.bincount(sets.validation.labels).tolist() == [5, 5]
    assert sorted(levels(sets.train) + levels(sets.validation)) == list(range(40))
    assert sets.train.labels.tolist() == [level % 2 for level in levels(sets.train)]


def test_file_names_are_kept(tmp_path):
    sets = loaded(prepared(tmp_path, train=4, test=2, more={"file_name": tfds.features.Text()}))
    assert sets.train.ids == tuple(f"train/photo{level}.png" for level in levels(sets.train))


def test_the_second_start_decodes_nothing(tmp_path, monkeypatch):
    first = loaded(prepared(tmp_path, train=4, test=2))
    monkeypatch.setattr("tljax.data.photos.decode", None)
    assert loaded(tmp_path).digest == first.digest


def test_the_version_may_be_named_and_the_folder_come_from_the_environment(tmp_path, monkeypatch):
    prepared(tmp_path, train=4, test=2)
    assert len(loaded(tmp_path, "tiny:1.2.0").train.ids) == 4
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    assert len(loaded(tmp_path, places=Places(tmp_path / "cache")).train.ids) == 4
    with pytest.raises(InputError, match=r"^tfds:tiny:9\.9\.9: expected a prepared set"):
        loaded(tmp_path, "tiny:9.9.9")


@pytest.mark.parametrize("name", ["mnist", "no_such_set"])
def test_a_set_that_is_not_there_says_how_to_prepare_it(tmp_path, name):
    command = (
        rf"tljax\[tf\].*tfds build {name} --file_format=array_record --data_dir={tmp_path}/tfds$"
    )
    with pytest.raises(
        InputError,
        match=rf"^tfds:{name}: expected a prepared set in .*/tfds, found none; .*{command}",
    ):
        loaded(tmp_path, name)


def test_parquet_is_refused_because_tfds_loses_examples_in_it(tmp_path):
    prepared(tmp_path, train=4, test=2, format="parquet")
    with pytest.raises(
        InputError,
        match=r"^tfds:tiny: expected array_record, found parquet files in .*tiny/1\.2\.0",
    ):
        loaded(tmp_path)


def test_a_set_that_lost_examples_is_refused(tmp_path):
    prepared(tmp_path, train=4, test=2)
    [info] = (tmp_path / "tfds").rglob("dataset_info.json")
    info.write_text(info.read_text().replace('"4"', '"5"'))
    with pytest.raises(InputError, match=r"^tfds:tiny: "):
        loaded(tmp_path)


@pytest.mark.parametrize(
    ("glob", "damage"),
    [
        ("*train.array_record*", lambda path: path.unlink()),
        ("*train.array_record*", lambda path: path.write_bytes(path.read_bytes()[:-100])),
        ("*train.array_record*", lambda path: path.write_bytes(b"")),
        ("dataset_info.json", lambda path: path.write_text("{")),
        ("features.json", lambda path: path.write_text("{")),
        ("features.json", lambda path: path.write_text('{"pythonClassName": "os.system"}')),
    ],
)
def test_a_damaged_set_is_one_line_that_names_it(tmp_path, glob, damage):
    prepared(tmp_path, train=4, test=2)
    [path] = (tmp_path / "tfds").rglob(glob)
    damage(path)
    with pytest.raises(
        InputError, match=rf"^tfds:tiny: cannot be read from {tmp_path}/tfds \("
    ) as caught:
        loaded(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_bad_name_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"^tfds:\.\./x: cannot be read"):
        loaded(tmp_path, "../x")


def test_two_labels_are_too_many(tmp_path):
    prepared(tmp_path, train=4, test=2, more={"coarse": tfds.features.ClassLabel(num_classes=2)})
    with pytest.raises(
        InputError, match=r"one image and one class label, found \['image'\] and .*'coarse'"
    ):
        loaded(tmp_path)


def test_photographs_without_a_label_are_refused(tmp_path):
    prepared(tmp_path, train=4, test=2, label=-1)
    with pytest.raises(InputError, match="expected a label for every image of train"):
        loaded(tmp_path)


def test_a_set_without_training_photographs(tmp_path):
    prepared(tmp_path, test=2)
    with pytest.raises(InputError, match=r"expected a split train, found test$"):
        loaded(tmp_path)
