"""The base that comes with the critters."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax import data, weights
from tljax.commands import pretrain
from tljax.config import pretraining, sizes
from tljax.data import critters
from tljax.models import build, ops
from tljax.models.build import Network


def accuracy(base, sets):
    """Of a nearest-mean classifier on its features: no head is kept with a base."""
    module = build.base_of(Network(*build.described(base.architecture)))
    program = ops.jit(lambda x: module.apply(base.variables, base.preprocess(x))[0].mean((1, 2)))

    def features(split):
        rows = [np.asarray(program(split.images[i : i + 64])) for i in range(0, len(split.ids), 64)]
        rows = np.concatenate(rows)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    train, held = features(sets.train), features(sets.validation)
    means = np.stack([train[sets.train.labels == c].mean(0) for c in range(len(sets.classes))])
    return (np.argmax(held @ means.T, 1) == sets.validation.labels).mean()


def test_it_is_the_pretraining_of_the_config_and_small():
    base = weights.read(critters.BASE)
    assert critters.BASE.stat().st_size <= 2e6
    assert base.architecture == {"name": pretraining.CRITTERS_BASE, **pretraining.CRITTERS_OPTIONS}
    assert base.classes == tuple(critters.SOURCE_CLASSES)
    assert {leaf.dtype for leaf in jax.tree.leaves(base.params)} == {np.dtype(jnp.bfloat16)}
    about = base.provenance
    assert (about["data"], about["size"]) == ("critters:source", sizes.PRETRAIN)
    assert (about["epochs"], about["seed"]) == (pretraining.IMAGES.epochs, 0)


@pytest.mark.slow
def test_it_can_be_made_again(tmp_path, monkeypatch):
    """From the same drawings, to as good a base; its bits depend on the processor."""
    out = tmp_path / "again.safetensors"
    monkeypatch.setattr(sys, "argv", ["tljax pretrain", "--out", str(out), "--quiet"])
    pretrain.main()
    again, base = weights.read(out), weights.read(critters.BASE)
    assert again.provenance["digest"] == base.provenance["digest"]
    found = again.provenance["record"]["validation"]["accuracy"]
    assert found == pytest.approx(base.provenance["record"]["validation"]["accuracy"], abs=0.06)
    target = data.load("critters", size=sizes.PRETRAIN, progress=False)
    assert accuracy(again, target) == pytest.approx(accuracy(base, target), abs=0.08)
