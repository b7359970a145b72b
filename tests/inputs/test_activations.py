"""Activations are made once for all runs and seeds, gone on from, and never in the way of a run."""

import time
from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.config import HEAD_ONLY, TRAIN_ALL, Stage, rules_of
from tljax.data.augment import Augment
from tljax.data.preprocess import TORCH
from tljax.data.sources import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.inputs import activations, views
from tljax.inputs import images as inputs
from tljax.inputs.prefix import Prefix
from tljax.models import build, ops, vgg
from tljax.models.build import Network
from tljax.models.vgg import VGG16
from tljax.runs.workdir import Workdir
from tljax.train import compiler, program, rung, setup
from tljax.train.source import Source
from tljax.tree import flatten
from tljax.weights import Weights

NETWORK = Network(hidden=4, options={"width": 0.0625})
FROZEN = Stage("frozen", HEAD_ONLY, lr=1e-3, epochs=4, batch_size=4, augment=Augment(), views=2)
LATER = replace(FROZEN, name="finetune", rules=rules_of("finetune"), views=1)


@pytest.fixture(scope="module", autouse=True)
def in_a_hurry():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        yield


def split(count, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)
    return ImageSet(images, np.arange(count, dtype=np.int32) % 2, tuple(map(str, range(count))))


SETS = ImageSets("test", ("cat", "dog"), split(10, 0), split(3, 1), "0" * 64)


@pytest.fixture(scope="module")
def weights():
    params = build.init(build.classifier(NETWORK, classes=2), key=jax.random.key(5), size=32)[
        "params"
    ]["base"]
    params = jax.tree.map(lambda leaf: leaf * 1.4 if leaf.ndim == 4 else leaf, params)
    return Weights(
        jax.device_get(params), {"name": "vgg16", "width": 0.0625}, TORCH, ("a", "b"), {}
    )


@pytest.fixture
def ran(monkeypatch):
    """`(start, stop, augmented)` of each compiled call of a prefix, in order."""
    calls, program = [], Prefix.program

    def counted(self, *, augment, start, stop):
        run = jax.jit(program(self, augment=augment, start=start, stop=stop))
        return lambda *given: calls.append((start, stop)) or run(*given)

    monkeypatch.setattr(Prefix, "program", counted)
    monkeypatch.setattr(activations, "ops", SimpleNamespace(jit=lambda called: called))
    monkeypatch.setattr(activations, "in_turn", SimpleNamespace(of=lambda called: called))
    return calls


def ready(stage, weights, store, *, seed=0, **options):
    source = Source(SETS, weights, store=store, progress=False)
    return setup.prepare(stage, NETWORK, source, seed=seed, **options)


def equal(a, b):
    for name in ("train", "validation"):
        np.testing.assert_array_equal(
            getattr(a.inputs, name).inputs, getattr(b.inputs, name).inputs
        )


def test_other_workdirs_and_seeds_find_what_was_made_and_more_views_add_to_it(
    weights, ran, tmp_path, monkeypatch
):
    """A view of ten photographs is three calls of four, the three held out are one call."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = ready(FROZEN, weights, Workdir(tmp_path / "a").features)
    assert (len(ran), first.inputs.made) == (2 * 3 + 1, 3)
    again = ready(FROZEN, weights, Workdir(tmp_path / "b").features, seed=7)
    assert (len(ran), again.inputs.made) == (7, 0)
    assert again.inputs.files == first.inputs.files
    equal(first, again)
    more = ready(replace(FROZEN, views=4), weights, Workdir(tmp_path / "b").features, seed=8)
    assert (len(ran), more.inputs.made) == (7 + 2 * 3, 2)
    np.testing.assert_array_equal(more.inputs.train.inputs[:20], first.inputs.train.inputs)
    assert len(np.unique(more.inputs.train.inputs.reshape(4, -1), axis=0)) == 4
    files = [
        file.relative_to(tmp_path / "cache" / "tljax" / "features") for file in more.inputs.files
    ]
    assert [file.name.rsplit("-", 1)[0] for file in files] == [
        *(f"train-view{k}" for k in range(4)),
        "validation",
    ]
    assert {file.parts[0].split("-")[0] for file in files} == {"block5_pool"}
    assert not (tmp_path / "a").exists()


def test_what_is_kept_of_an_earlier_layer_is_gone_on_from_to_the_same_bits(weights, ran, tmp_path):
    direct = ready(FROZEN, weights, tmp_path / "direct")
    assert set(ran) == {(None, "block5_pool")}
    ready(LATER, weights, tmp_path / "both")
    ran.clear()
    found = ready(FROZEN, weights, tmp_path / "both")
    assert ran == [("block4_pool", "block5_pool")] * 3 + [(None, "block5_pool")] * 3 + [
        ("block4_pool", "block5_pool")
    ]
    equal(direct, found)
    assert found.inputs.train.inputs.std(0).max() > 1e-3


def test_what_stages_to_come_want_is_kept_on_the_way(weights, ran, tmp_path):
    """The base's first blocks run once: ten photographs, twice,
    of which one view is wanted later; three held out.
    """
    direct = ready(FROZEN, weights, tmp_path / "direct")
    ran.clear()
    found = ready(FROZEN, weights, tmp_path / "both", ahead=[LATER])
    assert [call for call in ran if call[0] is None] == [(None, "block4_pool")] * 3 + [
        (None, "block5_pool")
    ] * 3 + [(None, "block4_pool")]
    equal(direct, found)
    assert ready(LATER, weights, tmp_path / "both", seed=1).inputs.made == 0


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [
        ([LATER], [("block4_pool", 1)]),
        ([replace(LATER, views=99)], [("block4_pool", 4)]),  # passes
        ([replace(FROZEN, views=None), LATER], [("block4_pool", 1)]),
        ([replace(LATER, rules=TRAIN_ALL, views=None), LATER], []),  # trains what comes before
        ([replace(LATER, batch_size=5)], []),
        ([replace(LATER, augment=None)], []),
        ([replace(LATER, features_dtype="bfloat16")], []),
        ([replace(LATER, views=None)], []),
        ([FROZEN], []),
    ],
)
def test_what_is_wanted_on_the_way(weights, ahead, expected):
    params = {"base": weights.params, "head": {"fc1": {"kernel": 0, "bias": 0}}}
    assert set(flatten(params)) > {"head/fc1/kernel"}
    prefix = Prefix(vgg.ARCHITECTURE, VGG16(), weights.variables, "block5_pool", TORCH, None, 1)
    assert views._passing(FROZEN, ahead, prefix, params, images=10) == expected


@pytest.mark.parametrize(
    ("dtype", "kept", "exact"),
    [(jnp.float32, None, True), (jnp.float32, "bfloat16", False), (jnp.bfloat16, "bfloat16", True)],
)
def test_nothing_goes_on_from_what_was_rounded(weights, dtype, kept, exact):
    prefix = Prefix(
        vgg.ARCHITECTURE,
        VGG16(width=0.0625, dtype=dtype),
        weights.variables,
        "block5_pool",
        TORCH,
        None,
        1,
        kept=kept,
    )
    assert prefix.exact_at("block4_pool") == exact
    assert not prefix.exact_at("block5_pool")


def refusing(folder):
    """A place where nobody can make a folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("")
    return folder


def test_a_place_that_cannot_be_written_is_told_once_and_the_next_is_taken(
    weights, tmp_path, capsys
):
    refused, other = refusing(tmp_path / "cache"), tmp_path / "run" / "features"
    first = ready(FROZEN, weights, [refused, other])
    (said,) = capsys.readouterr().out.splitlines()
    assert said.startswith(f"{refused}/block5_pool-")
    assert "cannot be written: " in said
    assert said.endswith("; features go elsewhere")
    assert all(file.is_relative_to(other) for file in first.inputs.files)
    assert ready(FROZEN, weights, [refused, other]).inputs.made == 0
    assert capsys.readouterr().out == ""


def test_a_run_goes_on_where_nothing_can_be_written(weights, tmp_path, capsys):
    found = ready(FROZEN, weights, refusing(tmp_path / "cache"))
    assert found.inputs.files == ()
    equal(found, ready(FROZEN, weights, tmp_path / "other"))
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_folder_that_can_only_be_read_is_read(weights, tmp_path):
    """As root nothing is refused: the place is looked in before any is written to."""
    ready(FROZEN, weights, tmp_path / "cache")
    before = sorted(path for path in tmp_path.rglob("*"))
    found = ready(FROZEN, weights, [tmp_path / "run", tmp_path / "cache"])
    assert found.inputs.made == 0
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_a_damaged_view_is_named(weights, tmp_path):
    file = ready(FROZEN, weights, tmp_path).inputs.files[1]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(
        InputError, match=f"{file}: group train-.*; delete the file to compute it again"
    ):
        ready(FROZEN, weights, tmp_path)
    file.unlink()
    assert ready(FROZEN, weights, tmp_path).inputs.made == 1


def test_the_seconds_of_a_rung_are_all_of_it_and_its_parts_are_told(weights, tmp_path, monkeypatch):
    """By a wall clock, where making activations and the logits at the end are slow."""

    def slow(function, seconds):
        return lambda *given, **options: time.sleep(seconds) or function(*given, **options)

    monkeypatch.setattr(inputs.Activations, "split", slow(inputs.Activations.split, 0.2))
    monkeypatch.setattr(rung.predictions, "held_out", slow(rung.predictions.held_out, 0.3))
    began = time.perf_counter()
    history = rung.run(FROZEN, ready(FROZEN, weights, tmp_path), seed=0, progress=False).history
    wall = time.perf_counter() - began
    assert history.seconds == pytest.approx(wall, abs=0.1)
    assert history.features_seconds > 0.4
    assert (
        history.seconds
        > history.features_seconds + history.compile_seconds + history.train_seconds + 0.3
    )


def test_a_program_compiled_ahead_is_part_of_its_rung(weights, tmp_path):
    outline = setup.outline(FROZEN, NETWORK, Source(SETS, weights))
    ahead = program.ahead({"one": (FROZEN, outline), "two": (FROZEN, outline)})
    began = time.perf_counter()
    longer = replace(ahead["one"], seconds=100.0)
    history = rung.run(
        FROZEN, ready(FROZEN, weights, tmp_path), seed=0, program=longer, progress=False
    ).history
    assert history.seconds == pytest.approx(100 + time.perf_counter() - began, abs=0.1)


def test_programs_compiled_side_by_side_share_the_time_that_took(monkeypatch):
    monkeypatch.setattr(program, "outlined", lambda stage, ready: 0.3)

    def slept(seconds):
        time.sleep(seconds)
        return program.Program(None, seconds, 1.0, 1.0)

    monkeypatch.setattr(compiler, "compile", slept)
    monkeypatch.setattr(program, "_cores", lambda: 2)
    began = time.perf_counter()
    found = program.ahead({"one": (FROZEN, None), "two": (FROZEN, None)})
    wall = time.perf_counter() - began
    assert sum(each.seconds for each in found.values()) == pytest.approx(wall, abs=0.05)
    assert wall < 0.6
