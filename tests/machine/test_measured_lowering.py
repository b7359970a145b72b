"""Which way a convolution is computed: raced once, kept, and never in the way of a command."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from tljax.data.preprocess import UNIT
from tljax.data.sources import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.inputs.prefix import Prefix
from tljax.machine import convolutions, lowering
from tljax.models import build, winograd
from tljax.models.architecture import images_of
from tljax.models.build import Network
from tljax.models.vgg import ARCHITECTURE
from tljax.models.winograd import Shape
from tljax.tasks.classification import CLASSIFICATION

WIDE, DEEP = Shape(75, 75, 128, 128, 1), Shape(37, 37, 256, 256, 1)
SLOW, FAST = (2.0, 3.0), (1.0, 2.0)


class Race:
    """A stopwatch in a test's hands: Winograd's way wins for the shapes in `fast`."""

    def __init__(self, *fast):
        self.fast, self.run = fast, []

    def __call__(self, shape):
        self.run.append(shape)
        return (SLOW, FAST) if shape in self.fast else (FAST, SLOW)


@pytest.fixture
def file(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return lowering.kept_in()


def test_each_way_can_win_and_what_was_raced_is_kept(file, capsys):
    first, second = Race(WIDE), Race(DEEP)
    assert lowering.choose({WIDE, DEEP}, file, race=first) == {WIDE}
    assert sorted(first.run) == [DEEP, WIDE]
    assert capsys.readouterr().out == (
        "timed 2 convolutions once for this machine; by Winograd: 75 x 75 x 128 to 128, padding 1\n"
    )
    assert lowering.choose({WIDE, DEEP}, file, race=second) == {WIDE}
    assert second.run == []
    assert lowering.choose({DEEP}, file, race=second) == frozenset()
    assert capsys.readouterr().out == ""
    other = WIDE._replace(width=74)
    assert lowering.choose({WIDE, other}, file, race=Race(other)) == {WIDE, other}
    assert json.loads(file.read_text()) == {
        "convolutions": [
            [37, 37, 256, 256, 1, "direct"],
            [75, 74, 128, 128, 1, "winograd"],
            [75, 75, 128, 128, 1, "winograd"],
        ]
    }


@pytest.mark.parametrize(
    ("other", "won"),
    [((0.91, 0.91), True), ((0.93, 0.5), False), ((0.5, 0.93), False), ((1.0, 1.0), False)],
)
def test_it_must_be_faster_by_both_clocks_and_by_more_than_noise(file, other, won):
    found = lowering.choose({WIDE}, file, race=lambda shape: ((1.0, 1.0), other))
    assert found == ({WIDE} if won else set())


@pytest.mark.parametrize("what", ["version", "processor", "_abilities"])
def test_another_jaxlib_or_processor_measures_anew(file, monkeypatch, what):
    lowering.choose({WIDE}, file, race=Race(WIDE))
    monkeypatch.setattr(lowering, what, lambda *_: "another")
    assert lowering.kept_in() != file
    race = Race()
    assert lowering.choose({WIDE}, lowering.kept_in(), race=race) == frozenset()
    assert race.run == [WIDE]
    assert lowering.choose({WIDE}, file, race=race) == {WIDE}  # its own is still there


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"convolutions": [[75, 75, 128, 128, 1]]}',
        '{"convolutions": [[75, 75, 128, 128, 1, "fast"]]}',
        '{"convolutions": [[75, 75, 128, "128", 1, "direct"]]}',
        '{"convolutions": 3}',
    ],
)
def test_a_damaged_file_is_named_and_measured_anew(file, capsys, text):
    file.parent.mkdir(parents=True)
    file.write_text(text)
    race = Race(WIDE)
    assert lowering.choose({WIDE}, file, race=race) == {WIDE}
    said = capsys.readouterr().out.splitlines()[0]
    assert said == f"{file}: expected timed convolutions, found something else; timed anew"
    assert race.run == [WIDE]
    assert lowering.choose({WIDE}, file, race=Race()) == {WIDE}


def test_where_nothing_can_be_kept_the_choice_stands_for_the_command(file, capsys):
    file.parent.parent.mkdir()
    file.parent.write_text("a file in the folder's place")
    assert lowering.choose({WIDE}, file, race=Race(WIDE)) == {WIDE}
    assert "they are timed again next time" in capsys.readouterr().out


def test_a_race_times_both_ways_by_two_clocks_or_on_a_busy_machine_by_one(monkeypatch):
    for load, same in ((0.0, False), (1000.0, True)):
        monkeypatch.setattr(lowering.os, "getloadavg", lambda load=load: (load,) * 3)
        for clock, cores in lowering.raced(Shape(6, 5, 3, 4, 1)):
            assert 0 < clock < 60
            assert 0 < cores < 60
            assert (clock == cores) == same


def test_the_large_convolutions_of_networks():
    like = images_of(150)
    vgg = convolutions.shapes_of(Network(), like, task=CLASSIFICATION)
    maps = {1: (150, 64), 2: (75, 128), 3: (37, 256), 4: (18, 512), 5: (9, 512)}
    wanted = {Shape(size, size, c, c, 1) for size, c in maps.values()}
    for size, few, many in ((75, 64, 128), (37, 128, 256), (18, 256, 512)):
        wanted |= {Shape(size, size, few, many, 1), Shape(size, size, many, few, 1)}
    assert vgg == wanted  # the first layer, of three channels, is small
    critters = Network(options={"width": 0.25})
    for network, size in ((Network("cnn"), 150), (critters, 64)):
        assert convolutions.shapes_of(network, images_of(size), task=CLASSIFICATION) == set()


def test_only_one_cpu_device_in_float32_measures(file, monkeypatch):
    race = Race(WIDE)
    monkeypatch.setattr(lowering, "raced", race)
    monkeypatch.setattr(lowering, "shapes_of", lambda *_, **__: {WIDE})

    def measured(**options):
        return lowering.measured([Network()], images_of(150), task=CLASSIFICATION, **options)

    assert measured() == frozenset()  # eight devices
    monkeypatch.setattr(lowering.jax, "device_count", lambda: 1)
    assert measured(dtype=jnp.bfloat16) == frozenset()
    assert race.run == []
    assert measured() == {WIDE}
    monkeypatch.setattr(lowering.jax, "default_backend", lambda: "gpu")
    assert measured() == frozenset()


def test_rows_of_a_document_that_are_no_shapes_are_refused():
    assert lowering.read_rows([list(WIDE)], where="config.json") == {WIDE}
    for rows in ("all", [[1, 2]], [[75, 75, 128, 128, True]], {"a": 1}):
        with pytest.raises(InputError, match=r"^config.json: expected lists of 5 numbers, found"):
            lowering.read_rows(rows, where="config.json")


def test_features_of_one_way_are_not_read_for_another():
    images = ImageSet(np.zeros((2, 32, 32, 3), np.uint8), np.arange(2, dtype=np.int32), ("a", "b"))
    sets = ImageSets("test", ("cat", "dog"), images, images, "0" * 64)
    network = Network(options={"width": 0.0625})
    base = build.base_of(network)
    variables = {"params": {"block1_conv1": {"kernel": jnp.ones((3, 3, 3, 4))}}}
    prefix = Prefix(ARCHITECTURE, base, variables, "block1_conv1", UNIT, None, 1)
    direct = prefix.identity(sets, split="train")
    with winograd.using({DEEP, WIDE}):
        other = prefix.identity(sets, split="train")
    assert other == {**direct, "by_winograd": [list(DEEP), list(WIDE)]}
    assert json.loads(json.dumps(other)) == other
    assert prefix.identity(sets, split="train") == direct
