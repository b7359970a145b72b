"""The picture of the rooms, by written-out houses."""

import importlib.util
import pathlib
from collections import Counter

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "rooms.py"


@pytest.fixture(scope="module")
def rooms():
    spec = importlib.util.spec_from_file_location("rooms", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def house(folder, **sources):
    """Write `kitchen__oven="import ..."` as tljax/kitchen/oven.py."""
    for name, source in sources.items():
        path = folder / "tljax" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return folder / "tljax"


def test_arrows_count_imports_between_rooms_at_the_top_of_files(rooms, tmp_path):
    package = house(
        tmp_path,
        errors="import os",
        data__photos="from tljax import errors\nfrom tljax.data import cache",
        data__cache="def read():\n    from tljax.errors import InputError",
        train__loop="from tljax.data import photos, cache\nimport tljax.errors",
    )
    found = rooms.arrows(rooms.modules(package))
    expected = {("data", "errors"): 1, ("train", "data"): 2, ("train", "errors"): 1}
    assert found == Counter(expected)


def test_a_room_stands_one_floor_above_the_highest_that_it_needs(rooms):
    diamond = [("train", "data"), ("data", "errors"), ("train", "optim"), ("optim", "errors")]
    pairs = Counter(diamond)
    levels = rooms.floors({"train", "data", "optim", "errors"}, pairs)
    assert levels == [["errors"], ["data", "optim"], ["train"]]
    assert not rooms.indirect(("train", "data"), pairs)
    assert rooms.indirect(("train", "errors"), pairs | Counter([("train", "errors")]))


def test_rooms_in_a_circle_share_a_floor(rooms):
    pairs = Counter([("a", "b"), ("b", "c"), ("c", "b"), ("b", "errors")])
    assert rooms.floors({"a", "b", "c", "errors"}, pairs) == [["errors"], ["b", "c"], ["a"]]


def test_the_picture_has_a_box_for_every_room_of_the_house(rooms):
    package = SCRIPT.parents[1] / "tljax"
    figure = rooms.draw(rooms.modules(package))
    labels = {text.get_text().partition("\n")[0] for text in figure.axes[0].texts}
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    assert len(folders) > 5
    assert folders <= labels
