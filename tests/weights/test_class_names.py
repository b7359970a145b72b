"""Names of classes from a file: a line each, a list, or Keras's index."""

import json

import pytest

from tljax.errors import InputError
from tljax.weights.class_names import read_class_names


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("names.txt", "tench\ngoldfish\ngreat white shark\n"),
        ("names.json", json.dumps(["tench", "goldfish", "great white shark"])),
        (
            "imagenet_class_index.json",
            # In another order than that of the numbers.
            json.dumps(
                {"2": ["n3", "great white shark"], "0": ["n1", "tench"], "1": ["n2", "goldfish"]}
            ),
        ),
    ],
)
def test_names_come_in_the_order_of_the_numbers(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    assert read_class_names(path) == ("tench", "goldfish", "great white shark")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"tench\n\ngoldfish\n", "expected a name for each class, found none for 1"),
        ("a.txt", b"\xff\xfe", "it is not UTF-8"),
        ("a.json", b"{", "expected a list of names"),
        ("a.json", b'{"0": ["n", "tench"], "2": ["n", "shark"]}', "found 2 entries and no 1"),
        ("a.json", b"[1, 2]", "found another shape"),
        ("a.json", b"3", "found another shape"),
    ],
)
def test_another_file_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_class_names(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_class_names(tmp_path / "none.txt")
