import numpy as np
import pytest

from tljax.data import decisions
from tljax.data.decisions import Decision
from tljax.data.sets import ImageSet, ImageSets
from tljax.errors import InputError


def sets():
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8) + 7
    train = ImageSet(images, np.array([0, 0, 1, 1, 0]), tuple(f"train/{i}.jpg" for i in range(5)))
    held = ImageSet(images[:2], np.array([0, 1]), ("validation/0.jpg", "validation/1.jpg"))
    return ImageSets("folder:x", ("cat", "dog"), train, held, "d" * 64)


def test_what_is_written_is_read_after_a_person_filled_it_in(tmp_path):
    lines = [Decision(f"train/{i}.jpg", "cat", "", "dog") for i in range(3)]
    path = decisions.write(tmp_path / "s.csv", lines, [{"p_label": "0.1"}] * 3)
    text = path.read_text()
    assert text.splitlines()[0] == "id,label,decision,new_label,p_label"
    edited = text.replace("0.jpg,cat,,dog", "0.jpg,cat,Relabel ,dog")
    path.write_text("\ufeff" + edited, encoding="utf-8")  # as spreadsheets write it
    assert decisions.read(path) == [
        Decision("train/0.jpg", "cat", "relabel", "dog"),
        Decision("train/1.jpg", "cat", "keep", "dog"),
        Decision("train/2.jpg", "cat", "keep", "dog"),
    ]


def test_decisions_change_training_alone_and_the_digest():
    before = sets()
    made = [
        Decision("train/1.jpg", "cat", "relabel", "dog"),
        Decision("train/2.jpg", "dog", "delete"),
        Decision("train/3.jpg", "dog", "keep"),
    ]
    after, said = decisions.apply(before, made, where="s.csv")
    assert after.train.ids == ("train/0.jpg", "train/1.jpg", "train/3.jpg", "train/4.jpg")
    assert after.train.labels.tolist() == [0, 1, 1, 0]
    np.testing.assert_array_equal(after.train.images, before.train.images[[0, 1, 3, 4]])
    assert after.validation is before.validation
    assert before.train.labels.tolist() == [0, 0, 1, 1, 0]
    assert after.digest != before.digest
    assert after.digest == decisions.apply(before, made[::-1], where="s.csv")[0].digest
    assert "1 by decision" in after.counts()
    assert said == "s.csv: 1 training photographs have another label, 1 are left out"


def test_nothing_decided_leaves_the_set_as_it_is():
    before = sets()
    after, said = decisions.apply(before, [Decision("train/1.jpg", "cat")], where="s.csv")
    assert after is before
    assert said == "s.csv: nothing to change"


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ([Decision("train/9.jpg", "cat")], "train/9.jpg: expected a training photograph"),
        ([Decision("validation/0.jpg", "cat")], "expected a training photograph, found none"),
        ([Decision("train/0.jpg", "dog")], "expected label dog, found cat"),
        ([Decision("train/0.jpg", "cat")] * 2, "expected one line, found two"),
        ([Decision("train/0.jpg", "cat", "relabel", "cow")], "expected one of cat, dog, found cow"),
    ],
)
def test_a_file_of_other_photographs_is_refused(made, told):
    with pytest.raises(InputError, match=told):
        decisions.apply(sets(), made, where="s.csv")


@pytest.mark.parametrize("between", [";", "\t"])
def test_what_a_spreadsheet_saves_is_read(tmp_path, between):
    rows = [
        ("id", "note", "label", "decision", "new_label"),
        ("a, b.jpg", "x;\ty", "cat", "Delete"),
    ]
    text = "\r\n".join(between.join(f'"{cell}"' for cell in row) for row in rows)
    (tmp_path / "s.csv").write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n\r\n")
    assert decisions.read(tmp_path / "s.csv") == [Decision("a, b.jpg", "cat", "delete")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "expected columns id, label, decision, new_label; missing id"),
        ('id,label,decision,new_label\n"a\nc",b,,\nd,b,maybe,c\n', "line 4 .d.: expected keep"),
        ("id,label\n", "expected columns id, label, decision, new_label; missing decision"),
        ("id,label,decision,new_label\na,b,maybe,c\n", "line 2 .a.: expected keep, relabel or"),
        ("id,label,decision,new_label\na,b,relabel,\n", "expected a class in new_label"),
    ],
)
def test_other_files_are_refused(tmp_path, text, told):
    path = tmp_path / "s.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=told):
        decisions.read(path)
    with pytest.raises(InputError, match=r"absent.csv: expected a table of decisions, found n"):
        decisions.read(tmp_path / "absent.csv")
