"""csv:FILE with labels of each task: told from the cells, or by name; and what is refused."""

import numpy as np
import pytest
from PIL import Image

from tljax import data
from tljax.data import table
from tljax.errors import InputError

FOUR = ("0.png", "1.png", "2.png", "3.png")


@pytest.fixture
def found(tmp_path):
    """Four photographs, and a table of these lines beside them."""

    def found(*lines, **options):
        for number, name in enumerate(FOUR):
            pixels = np.full((8, 8, 3), 40 * number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / name)
        (tmp_path / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
        labels = data.Labels(**options)
        return table.listings(tmp_path / "labels.csv", progress=False, labels=labels)

    return found


def lines(head, *cells):
    return [f"file,{head}", *(f"{name},{each}" for name, each in zip(FOUR, cells, strict=True))]


def test_lists_of_labels(found):
    table = lines("label", "cat;small", "dog", "", "small; cat")
    got = found(*table, task="multilabel")
    assert (got.task.name, got.classes) == ("multilabel", ("cat", "dog", "small"))
    assert got.listings["train"].labels.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 0, 1]]
    bars = [line.replace(";", "|") for line in table]
    assert found(*bars, separator="|").classes == got.classes  # told by the separator


def test_columns_of_0_and_1(found):
    got = found(*lines("cat,Small", "1,0", "0,1", "1,1", "0,0"), columns=("cat", "small"))
    assert (got.task.name, got.classes) == ("multilabel", ("cat", "Small"))
    assert got.listings["train"].labels.tolist() == [[1, 0], [0, 1], [1, 1], [0, 0]]


@pytest.mark.parametrize("columns", [("size",), ("size", "age")])
def test_numbers(found, columns):
    got = found(*lines("age,size", "1,2.5", "2,3", "3,1e1", "4,-1"), columns=columns)
    assert (got.task.name, got.classes) == ("regression", columns)
    assert got.listings["train"].labels[:, 0].tolist() == [2.5, 3, 10, -1]
    assert got.listings["train"].labels.dtype == np.float32


def test_whole_numbers_are_classes_unless_they_are_asked_for(found):
    table = lines("label", "1", "2", "1", "2")
    assert found(*table).task.name == "classification"
    assert found(*table).classes == ("1", "2")
    assert found(*table, task="regression").task.name == "regression"


@pytest.mark.parametrize("slip", ["nan", "1.5cm", "0,5", "", "1_5"])
def test_a_slip_among_numbers_makes_no_classes(found, slip):
    table = lines("label", "0.5", "1.5", f'"{slip}"', "0.5")
    called = f"'{slip}'" if slip else "an empty cell"
    with pytest.raises(InputError, match="line 4: label: expected a number, as in other l") as said:
        found(*table)
    assert f"found {called}; mend it for --task regression, or --task cl" in str(said.value)
    if slip:
        assert found(*table, task="classification").classes == tuple(sorted({"0.5", "1.5", slip}))
    with pytest.raises(InputError, match=f"line 4: y: expected a number.*found {called}; mend it"):
        found(*lines("x,y", "0.5,1", "1,1.5", f'1,"{slip}"', "3,4"), columns=("x", "y"))


def test_names_beside_a_few_numbers_are_classes(found):
    assert found(*lines("label", "1", "2", "old", "1")).classes == ("1", "2", "old")
    assert found(*lines("label", "0.5", "new", "old", "0.5")).classes == ("0.5", "new", "old")
    with pytest.raises(InputError, match="expected one column of classes, found x, y"):
        found(*lines("x,y", "a,1", "b,2", "c,3", "d,4"), columns=("x", "y"))


def test_a_decimal_comma_in_every_line_is_named(found):
    cells = [f'"{i},5"' for i in range(4)]
    with pytest.raises(InputError, match=r"line 2: label: expected a number.*found '0,5'"):
        found(*lines("label", *cells))


@pytest.mark.parametrize(
    ("cells", "options", "expected"),
    [
        (
            ("1", "two", "3", "4"),
            {"task": "regression"},
            r"line 3: label: expected a number, found",
        ),
        (("1", "nan", "3", "4"), {"task": "regression"}, "line 3: label: expected a number, found"),
        (
            ("a", "b", "a", "b"),
            {"columns": ("breed",)},
            "expected a column breed, found",
        ),
        (
            ("a", "b", "a", "b"),
            {"file": "photo"},
            "expected a column photo, found file",
        ),
        (("1", "1e39", "3", "4"), {"task": "regression"}, "line 3: label: expected a number"),
        (("1", "1_0", "3", "4"), {"task": "regression"}, "line 3: label: expected a number"),
        (("a", "b,c", "a", "b"), {}, "line 3: expected 2 columns, found 3 columns"),
        (("a", "b", "a", "b"), {"task": "segmentation"}, "expected one of classification, multil"),
        (("", "b", "a", "b"), {}, "line 2: label: expected a label, found an empty cell"),
        (("", "", "", ""), {"task": "multilabel"}, "expected one or more classes, found none"),
    ],
)
def test_what_is_refused_in_one_line(found, cells, options, expected):
    with pytest.raises(InputError, match=expected) as error:
        found(*lines("label", *cells), **options)
    assert "\n" not in str(error.value)


def test_a_mark_that_is_neither_is_refused(found):
    with pytest.raises(InputError, match="line 4: cat: expected 0 or 1, found '2'"):
        found(
            *lines("cat,dog", "1,0", "0,1", "2,0", "1,1"),
            columns=("cat", "dog"),
            task="multilabel",
        )


def test_a_missing_file_is_named(found):
    with pytest.raises(InputError, match=r"line 6: expected a photograph 4.png"):
        found(*lines("label", "1.5", "2", "3", "4"), "4.png,3", task="regression")


def test_a_set_of_each_task_is_loaded_and_held_out(found, tmp_path):
    found(*lines("label", "1.5", "2", "3", "4.5"))
    sets = data.load(
        f"csv:{tmp_path}/labels.csv", size=8, places=data.Places(tmp_path / "cache"), progress=False
    )
    assert (sets.task.name, sets.classes) == ("regression", ("label",))
    assert len(sets.train) + len(sets.validation) == 4
    assert sets.task.mean == pytest.approx((sets.train.labels.mean(),))


def test_columns_and_tasks_that_a_source_has_not_are_refused(tmp_path):
    with pytest.raises(InputError, match="task: expected classification of critters, found regre"):
        data.load("critters", size=16, labels=data.Labels("regression"))
    with pytest.raises(InputError, match="columns: expected csv:FILE with them, found critters"):
        data.load("critters", size=16, labels=data.Labels(columns=("a",)))


def test_a_column_that_is_twice_there_is_refused(found):
    with pytest.raises(InputError, match="expected one column cat, found 2"):
        found(*lines("cat,Cat", "1,0", "0,1", "2,0", "1,1"), columns=("cat",))


@pytest.mark.parametrize("name", ["/", "n" * 300, "a\0b", ".."])
def test_what_is_no_name_of_a_file_is_refused(found, name):
    with pytest.raises(InputError, match="line 6: expected a photograph"):
        found(*lines("label", "a", "b", "a", "b"), f"{name},a")


def loaded(tmp_path, **options):
    places, labels = data.Places(tmp_path / "cache"), data.Labels(**options)
    source = f"csv:{tmp_path}/labels.csv"
    return data.load(source, size=8, labels=labels, places=places, progress=False)


def test_whole_numbers_as_classes_come_with_the_way_to_learn_them_as_numbers(found, tmp_path):
    found(*lines("label", "1", "2", "3", "4"))
    hint = r"one alone in every class \(--task regression takes them as numbers\)"
    with pytest.raises(InputError, match=hint):
        loaded(tmp_path)
    found(*lines("label", "1", "2", "3", "3"))
    assert "3 (--task regression takes them" in loaded(tmp_path).counts()
    found(*lines("label", "a", "b", "c", "c"))
    assert "regression" not in loaded(tmp_path).counts()


def test_a_number_that_is_always_the_same_is_named(found, tmp_path):
    columns = ("age", "size")
    found(*lines("age,size", "1,2.5", "2,2.5", "3,2.5", "4,2.5"), columns=columns)
    with pytest.raises(
        InputError, match=r"labels.csv: size: expected numbers that differ, found 2"
    ):
        loaded(tmp_path, columns=columns)
