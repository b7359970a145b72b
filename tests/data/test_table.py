"""csv:FILE: what its lines say, with and without names of columns, and what is refused."""

import pytest

from tljax.data import Places, load, table
from tljax.errors import InputError


@pytest.fixture
def written(tmp_path):
    """Four files, each with its own bytes, and a table of this text beside them."""

    def written(text: str):
        for name in ("0.png", "1.png", "2.JPG", "more/3.png"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(name)
        (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
        return table.listings(tmp_path / "labels.csv", progress=False)

    return written


@pytest.mark.parametrize(
    "text",
    [
        "0.png,red\n1.png,green\n2.JPG,red\nmore/3.png,green\n",
        "\ufefffilename;class\n0.png;red\n1;green\n2.JPG; red\n\nmore\\3.png;green\n",
        'label\tweight\tid\nred\t1\t0\ngreen\t2\t1\n"red"\t1\t2.JPG\ngreen\t3\tmore/3\n',
    ],
)
def test_a_table_with_and_without_names_of_columns(written, text):
    classes, found, left_out, _ = written(text)
    assert classes == ("green", "red")
    assert found["train"].ids == ("0.png", "1.png", "2.JPG", "more/3.png")
    assert found["train"].labels.tolist() == [1, 0, 1, 0]
    assert found["train"].read(3) == b"more/3.png"
    assert left_out == ()


def test_a_column_of_splits_and_the_files_that_no_line_names(written):
    text = "file,label,split\n0.png,red,Training\n1.png,green,train\n2.JPG,red,val\n"
    _, found, left_out, _ = written(text)
    assert {split: part.ids for split, part in found.items()} == {
        "train": ("0.png", "1.png"),
        "validation": ("2.JPG",),
    }
    assert left_out == ("1 not in labels.csv, such as more/3.png",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected lines of a file and a label, found none"),
        (
            "file,colour\n0.png,red\n1.png,green\n",
            "labels.csv: line 1: expected columns of labels (label, class, category, target, "
            "breed, species, class_name; --label-columns), or a photograph of ",
        ),
        ("Photograph,colour\n0.png,red\n", "found Photograph, colour"),
        (
            "Photograph,colour\n0.png,red\n",
            "expected columns of files (file, filename, file_name, image, image_id; --file-column) "
            "and of labels (label, ",
        ),
        ("\n\nphoto,kind\n0.png,red\n", "line 3: expected columns of labels ("),
        ("label\nred\n", "line 2: expected a photograph red in "),
        ("file,label\n0.png,red\n1.png\n", "line 3: expected 2 columns, found 1 columns"),
        ("file,label\n0.png,red\n,green\n", "line 3: expected a file in column file, found an em"),
        ("file,label\n0.png,red\n1.png, \n", "line 3: label: expected a label, found an empty ce"),
        ("0.png,red\n9.png,green\n", "line 2: expected a photograph 9.png in "),
        ("0.png,red\n0.png,green\n", "line 2: expected each file once, found 0.png again"),
        ("0.png,red\n1.png\n", "line 2: expected a file and a label, found 1 columns"),
        ("0.png,1,red\n", "found 3 columns; name the columns file and label in the first line"),
        ("0.png,red\n1.png,\n", "line 2: label: expected a label, found an empty cell"),
        ("0.png,red\n1.png,red\n", "expected two or more classes, found red"),
        ("0.png,red\n1.png,Red\n", "expected classes that read differently, found 'Red' and 'red'"),
        ("file,label,split\n0.png,red,later\n", "line 2: expected a split train, validation or"),
    ],
)
def test_a_wrong_line_is_named(written, text, message):
    with pytest.raises(InputError) as caught:
        written(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_line_after_a_quoted_one_has_its_own_number(written):
    text = 'file,label,note\n0.png,red,"two\nlines"\n1.png,red,\n9.png,green,\n'
    with pytest.raises(InputError, match=r"line 5: expected a photograph 9\.png"):
        written(text)
    with pytest.raises(
        InputError, match=r"line 3: expected a table of files and labels: unexpecte"
    ):
        written('file,label\n0.png,red\n1.png,"a\n')


def test_the_column_of_files_is_the_first_that_is_none_of_the_others(written):
    classes, found, _, _ = written("label,photograph\nred,0.png\ngreen,1.png\n")
    assert (classes, found["train"].ids) == (("green", "red"), ("0.png", "1.png"))


def test_a_file_outside_the_folder_is_refused_unless_links_are_followed(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("out.png", "in/0.png"):
        (tmp_path / name).write_text(name)
    path = tmp_path / "in" / "labels.csv"
    path.write_text("0.png,a\n../out.png,b\n")
    with pytest.raises(InputError, match=r"line 2: \.\./out\.png leaves "):
        table.listings(path, progress=False)
    found = table.listings(path, progress=False, follow_links=True).listings["train"]
    assert found.read(1) == b"out.png"


def test_a_table_is_a_source_by_its_path_alone(tmp_path, monkeypatch):
    import numpy as np
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for i in range(8):
        Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).save(f"{i}.png")
    (tmp_path / "labels.csv").write_text("".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(8)))
    sets = load("labels.csv", size=4, places=Places(tmp_path / "cache"), progress=False)
    assert (sets.name, sets.classes) == ("csv:labels.csv", ("a", "b"))
    assert len(sets.train) + len(sets.validation) == 8
