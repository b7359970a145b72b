"""Weights files of other programs in each of their layouts: bits flipped, cut,
linked elsewhere, swollen.
"""

import io
import pathlib
import pickle
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tljax.models.vgg import CONVS, channels

STRICT = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
TORCH = {
    path.stem: path.read_bytes()
    for path in pathlib.Path(__file__).parents[1].glob("weights/torch_*.pth")
}
fraction = st.floats(0, 1, allow_nan=False)
places = fraction | fraction.map(lambda at: at**4)
flips = st.lists(st.tuples(places, st.integers(0, 7)), max_size=4)
cuts = st.none() | fraction


class Content(bytes):
    """Too long to be printed where a case fails."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


def damaged(data: bytes, flips: list, cut: float | None) -> Content:
    """Bits flipped at fractions of the length, the rest after `cut` left out."""
    content = bytearray(data)
    for at, bit in flips:
        content[int(at * (len(content) - 1))] ^= 1 << bit
    return Content(content if cut is None else content[: int(cut * len(content))])


def layers() -> dict:
    """A VGG16 of width 1/64 without its top."""
    found, before = {}, 3
    for layer in CONVS:
        after = channels(layer, 1 / 64)
        found[layer] = (np.ones((3, 3, before, after), np.float32), np.zeros(after, np.float32))
        before = after
    return found


def official(file) -> None:
    """As published: names of the layers and of their weights in attributes."""
    file.attrs["layer_names"] = [layer.encode() for layer in layers()]
    for layer, (kernel, bias) in layers().items():
        group = file.create_group(layer)
        names = [f"{layer}_W_1:0", f"{layer}_b_1:0"]
        group.attrs["weight_names"] = [name.encode() for name in names]
        group[names[0]], group[names[1]] = kernel, bias


def whole_model(file) -> None:
    """`model.save`: the layers below `model_weights`, beside an optimizer."""
    file.attrs["keras_version"] = "3.15.1"
    file["optimizer_weights/sgd/iteration"] = 3
    for layer, (kernel, bias) in layers().items():
        (
            file[f"model_weights/{layer}/{layer}/kernel"],
            file[f"model_weights/{layer}/{layer}/bias"],
        ) = kernel, bias


def numbered(file) -> None:
    """`.weights.h5` of a Keras that did not note the layers' names."""
    for i, (kernel, bias) in enumerate(layers().values()):
        group = file.create_group(f"layers/conv2d{f'_{i}' if i else ''}/vars")
        group["0"], group["1"] = kernel, bias


def named(file) -> None:
    """`.weights.h5` of one that did."""
    for i, (layer, (kernel, bias)) in enumerate(layers().items()):
        group = file.create_group(f"layers/conv2d_{i}/vars")
        group.attrs["name"] = layer
        group["0"], group["1"] = kernel, bias


LAYOUTS = {make.__name__: make for make in (official, whole_model, numbered, named)}
LINKS = {
    "soft": lambda file, name: h5py.SoftLink("/elsewhere"),
    "dangling": lambda file, name: h5py.SoftLink("/nowhere"),
    "external": lambda file, name: h5py.ExternalLink("/etc/passwd", "/"),
    "itself": lambda file, name: h5py.ExternalLink("weights", f"/{name}"),
    "cyclic": lambda file, name: file[name.split("/")[0]],
    "root": lambda file, name: file["/"],
}


def keras(layout: str, link: str | None, at: int) -> bytes:
    """The layout, with one of its groups or datasets replaced by a link."""
    with h5py.File(stream := io.BytesIO(), "w") as file:
        LAYOUTS[layout](file)
        if link:
            names: list[str] = []
            file.visit(names.append)
            name = names[at % len(names)]
            file.move(name, "elsewhere")
            target = (
                file["elsewhere"]
                if link == "cyclic" and "/" not in name
                else LINKS[link](file, name)
            )
            file[name] = target
    return stream.getvalue()


def run(reading, folder, contents, *, cases: int, name: str) -> None:
    read = reading("weights")
    read.counts.update(read=0, refused=0)

    @settings(STRICT, max_examples=cases)
    @given(contents)
    def each(content):
        path = folder / "weights"
        path.write_bytes(content)
        read(path)

    each()
    print(name, read.counts)
    assert min(read.counts.values()) > 0


def contents_of(name: str):
    """Damaged files of a layout; of Keras's also linked ones."""
    if name in TORCH:
        return st.builds(lambda *damage: damaged(TORCH[name], *damage), flips, cuts)
    whole = keras(name, None, 0)

    def linked(link, at, *damage):
        return damaged(keras(name, link, at) if link else whole, *damage)

    return st.builds(linked, st.sampled_from([None, *LINKS]), st.integers(0, 60), flips, cuts)


@pytest.mark.parametrize("name", [*LAYOUTS, *sorted(TORCH)])
def test_damage(reading, tmp_path, name):
    run(reading, tmp_path, contents_of(name), cases=200, name=name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*LAYOUTS, *sorted(TORCH)])
def test_much_damage(reading, tmp_path, name):
    run(reading, tmp_path, contents_of(name), cases=2000, name=name)


@pytest.mark.parametrize("layout", list(LAYOUTS))
@pytest.mark.parametrize("link", list(LINKS))
def test_links_are_refused_wherever_they_are(reading, tmp_path, layout, link):
    for at in (0, 3, 7, 20):
        (tmp_path / "weights").write_bytes(keras(layout, link, at))
        assert reading("weights")(tmp_path / "weights")["outcome"] == "refused"


class Canary:
    """What a hostile pickle holds: a call."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("place", range(5))
def test_a_call_in_any_pickle_of_the_older_container(reading, tmp_path, place):
    """Magic, protocol, system, state dict and keys are a pickle each."""
    canary, path = tmp_path / "canary", tmp_path / "weights.pth"
    things = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {}, []]
    pickles = [
        pickle.dumps(Canary(canary) if i == place else thing, 2) for i, thing in enumerate(things)
    ]
    path.write_bytes(b"".join(pickles))
    assert reading("weights")(path)["outcome"] == "refused"
    assert not canary.exists()


BOMBS = {
    "a pickle of zeros": {"x/data.pkl": bytes(1 << 28)},
    "a storage of zeros": {"x/data.pkl": pickle.dumps({}, 2), "x/data/0": bytes(1 << 28)},
    "fifty thousand members": {"x/data.pkl": b"N."} | {f"x/data/{i}": b"" for i in range(50_000)},
    "marks in marks": {"x/data.pkl": b"(" * 10_000_000 + b"."},
    "a tower of tuples": {"x/data.pkl": b"\x80\x02)" + b"\x85" * 10_000_000 + b"."},
    "a number of a million digits": {
        "x/data.pkl": b"\x80\x02\x8b" + (1 << 20).to_bytes(4, "little") + b"\1" * (1 << 20)
    },
    "a long text promised": {
        "x/data.pkl": b"\x80\x04\x8d" + (1 << 40).to_bytes(8, "little") + b"abc"
    },
    "keras of zeros": {"model.weights.h5": bytes(1 << 28)},
}


@pytest.mark.parametrize("bomb", list(BOMBS))
def test_archives_that_swell(reading, tmp_path, bomb):
    path = tmp_path / "weights"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in BOMBS[bomb].items():
            file.writestr(name, data)
    assert reading("weights")(path)["outcome"] == "refused"
