"""Class folders on disk: classes, labels and names, and the refusal of anything else."""

import pathlib

import pytest

from tljax.data import folder, photos
from tljax.errors import InputError


def plant(root: pathlib.Path, *paths: str) -> pathlib.Path:
    """Each file holds its own path."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    return root


def listed(root: pathlib.Path):
    return folder.listings(root, progress=False)[:2]


@pytest.mark.parametrize("validation", ["validation", "val", "valid"])
def test_one_class_list_for_all_splits(tmp_path, validation):
    """Validation lacks cat, and test has dog alone: the labels hold nevertheless."""
    train = ("train/bee/2.jpg", "train/cat/1.jpg", "train/dog/6.jpg")
    plant(tmp_path, *train, f"{validation}/dog/3.jpg", f"{validation}/bee/4.jpg")
    plant(tmp_path, "test/dog/5.jpg")
    classes, found = listed(tmp_path)
    assert classes == ("bee", "cat", "dog")
    assert found["train"].ids == train
    assert found["train"].labels.tolist() == [0, 1, 2]
    assert found["validation"].ids == (f"{validation}/bee/4.jpg", f"{validation}/dog/3.jpg")
    assert found["validation"].labels.tolist() == [0, 2]
    assert set(found) == {"train", "validation", "test"}
    assert (found["test"].ids, found["test"].labels.tolist()) == (("test/dog/5.jpg",), [2])
    assert found["train"].labels.dtype == "int32"


def test_without_splits_everything_is_for_training(tmp_path):
    plant(tmp_path, "dog/b.PNG", "dog/a.webp", "cat/z.JPeG", "cat/y.gif", "cat/x.bmp", "cat/w.jfif")
    classes, found = listed(tmp_path)
    assert classes == ("cat", "dog")
    ids = ("cat/w.jfif", "cat/x.bmp", "cat/y.gif", "cat/z.JPeG", "dog/a.webp", "dog/b.PNG")
    assert found["train"].ids == ids
    assert found["train"].labels.tolist() == [0, 0, 0, 0, 1, 1]
    assert [found["train"].read(i).decode() for i in range(6)] == list(ids)
    assert set(found) == {"train"}


def test_the_digest_is_the_files_sha256(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(b"abc")
    plant(tmp_path, "b/1.jpg")
    # FIPS 180-2, appendix B.1
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert listed(tmp_path)[1]["train"].digests[0] == digest


def test_what_is_no_example_is_left_out_and_counted_with_the_reason(tmp_path):
    plant(
        tmp_path,
        "a/1.jpg",
        "a/.2.jpg",
        "a/notes.txt",
        "a/deep/3.jpg",
        "a/folder.jpg/4.jpg",
        "b/5.jpg",
    )
    plant(tmp_path, ".git/6.jpg", "7.jpg", "README.md", "__MACOSX/a/8.jpg", "a/Thumbs.db")
    found = folder.listings(tmp_path, progress=False)
    assert found.classes == ("a", "b")
    assert found.listings["train"].ids == ("a/1.jpg", "b/5.jpg")
    assert found.left_out == (
        "1 outside a class folder, such as 7.jpg",
        "2 in a folder below a class, such as a/deep/3.jpg",
        "no photographs: 1 .md, 1 .txt",
    )


def test_photographs_beside_the_splits_are_left_out_and_counted(tmp_path):
    plant(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "validation/a/3.jpg", "new/c/4.jpg")
    assert folder.listings(tmp_path, progress=False).left_out == (
        "1 outside train and validation, such as new/c/4.jpg",
    )


def test_a_kind_that_wants_a_plugin_is_left_out_with_what_it_wants(tmp_path, monkeypatch):
    monkeypatch.setattr(photos, "formats", lambda: ("JPEG",))
    plant(tmp_path, "a/1.jpg", "b/2.jpg", "b/3.HEIC")
    assert folder.listings(tmp_path, progress=False).left_out == (
        "1 .heic (pip install pillow-heif reads them), such as b/3.HEIC",
    )


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (
            ["train/Cat/1.jpg", "train/Dog/2.jpg", "val/cat/3.jpg", "val/dog/4.jpg"],
            "found none of cat, dog, only for validation (training has Cat, Dog: rename one)",
        ),
        (
            ["train/red/1.jpg", "train/green/2.jpg", "val/red/3.jpg", "test/blue/4.jpg"],
            "expected training photographs of every class, found none of blue, only for test",
        ),
        (["cat/1.jpg", "Cat/2.jpg", "dog/3.jpg"], "read differently, found 'Cat' and 'cat'"),
        (["cat/1.jpg", "cat\u200b/2.jpg"], r"found 'cat' and 'cat\u200b'"),
        (["é/1.jpg", "e\u0301/2.jpg"], "expected one folder of class 'é', found two"),
        (["a/x/1.jpg", "b/x/2.jpg"], "2 lie one folder deeper, such as a/x/1.jpg; move them up"),
        (["pets/a/1.jpg", "pets/b/2.jpg"], "give folder:"),
        (["1.jpg", "2.jpg"], "2 photographs lie in it directly; csv:FILE reads labels"),
    ],
)
def test_classes_that_are_not_what_they_say_are_refused_by_name(tmp_path, paths, message):
    with pytest.raises(InputError) as caught:
        listed(plant(tmp_path, *paths))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_composed_in_two_ways_is_one_class_and_letters_are_their_own(tmp_path):
    plant(tmp_path / "1", "train/é/1.jpg", "train/b/2.jpg", "val/e\u0301/3.jpg")
    classes, found = listed(tmp_path / "1")
    assert classes == ("b", "é")
    assert found["validation"].labels.tolist() == [1]
    assert listed(plant(tmp_path / "2", "A/1.jpg", "a/2.jpg"))[0] == ("A", "a")


@pytest.mark.parametrize("train", ["Train", "training", "TRAIN"])
def test_splits_are_known_by_their_usual_names(tmp_path, train):
    plant(tmp_path, f"{train}/a/1.jpg", f"{train}/b/2.jpg", "Valid/a/3.jpg", "testing/b/4.jpg")
    classes, found = listed(tmp_path)
    assert classes == ("a", "b")
    assert [len(found[split].ids) for split in ("train", "validation", "test")] == [2, 1, 1]


def test_train_is_a_class_among_vehicles(tmp_path):
    assert listed(plant(tmp_path, "bus/1.jpg", "car/2.jpg", "train/3.jpg"))[0] == (
        "bus",
        "car",
        "train",
    )


def test_links_inside_the_folder_are_followed_and_links_out_of_it_refused(tmp_path):
    root, outside = (
        plant(tmp_path / "root", "a/1.jpg", "b/2.jpg"),
        plant(tmp_path / "outside", "3.jpg"),
    )
    (root / "b" / "again.jpg").symlink_to(root / "a" / "1.jpg")
    assert listed(root)[1]["train"].ids == ("a/1.jpg", "b/2.jpg", "b/again.jpg")
    (root / "a" / "away.jpg").symlink_to(outside / "3.jpg")
    with pytest.raises(
        InputError, match=r"root/a/away\.jpg: a link that leaves .*root, .*--follow-links"
    ):
        listed(root)
    followed = folder.listings(root, progress=False, follow_links=True).listings["train"]
    assert followed.ids == ("a/1.jpg", "a/away.jpg", "b/2.jpg", "b/again.jpg")
    assert followed.read(1) == b"3.jpg"
    (root / "a" / "away.jpg").unlink()
    (root / "c").symlink_to(outside)
    with pytest.raises(InputError, match=r"root/c: a link that leaves"):
        listed(root)


def test_the_folder_itself_may_be_a_link(tmp_path):
    plant(tmp_path / "real", "a/1.jpg", "b/2.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert listed(tmp_path / "link")[1]["train"].ids == ("a/1.jpg", "b/2.jpg")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    plant(tmp_path, "a/1.jpg", "b/2.jpg")
    (tmp_path / "a" / "gone.jpg").symlink_to(tmp_path / "a" / "nothing.jpg")
    with pytest.raises(InputError, match=r"a/gone\.jpg: cannot be read \(No such file"):
        listed(tmp_path)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], r"expected class folders, found none"),
        (["1.jpg"], r"expected class folders, found none"),
        (["train/1.jpg", "validation/2.jpg"], r"expected class folders, found none"),
        (["a/1.txt", "b/2.txt"], r"no photograph in a class folder for train \(looked for \.jpg"),
        (["a/1.txt", "b/2.txt"], r"\.heif; --task text reads \.txt\)$"),
        (["a/1.jpg", "b/2.tga"], r"no photograph in class b \(looked for \.jpg"),
        (
            ["train/a/1.jpg", "validation/readme.txt"],
            r"no photograph in a class folder for validation",
        ),
        (
            ["validation/a/1.jpg", "validation/b/2.jpg"],
            r"expected a train folder beside validation, found none",
        ),
        (
            ["train/a/1.jpg", "val/a/2.jpg", "validation/a/2.jpg"],
            r"one validation folder, found val and validation",
        ),
    ],
)
def test_what_is_not_a_data_set_is_one_line_that_names_the_folder(tmp_path, paths, message):
    plant(tmp_path, *paths)
    with pytest.raises(InputError, match=message) as caught:
        listed(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_path_and_a_file_are_not_folders(tmp_path):
    with pytest.raises(
        InputError, match=r"/none: expected a folder of class folders, found nothing"
    ):
        listed(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(
        InputError, match=r"/file: expected a folder of class folders, found a file"
    ):
        listed(tmp_path / "file")


def test_all_photographs_below_a_folder(tmp_path):
    plant(
        tmp_path,
        "b.jpg",
        "a.png",
        "notes.txt",
        ".x.jpg",
        "dog/2.jpg",
        "dog/deep/1.jpg",
        "cat/3.gif",
        ".git/4.jpg",
    )
    found = [path.relative_to(tmp_path).as_posix() for path in folder.all_photo_paths(tmp_path)]
    assert found == ["a.png", "b.jpg", "cat/3.gif", "dog/2.jpg", "dog/deep/1.jpg"]
    (tmp_path / "dog" / "up").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(InputError, match="dog/up: a link to a folder, expected the folder itself"):
        folder.all_photo_paths(tmp_path)


def test_a_photograph_that_wants_a_plugin_is_among_all_of_them(tmp_path, monkeypatch):
    """So that whoever classifies a folder hears of it, instead of missing it."""
    monkeypatch.setattr(photos, "formats", lambda: ("JPEG",))
    plant(tmp_path, "a.jpg", "b.heic", "c.txt")
    assert [path.name for path in folder.all_photo_paths(tmp_path)] == ["a.jpg", "b.heic"]
    with pytest.raises(photos.CorruptPhoto, match=r"b\.heic: not read here: pip install pillow"):
        photos.decode(b"b.heic", size=4, name="b.heic")
