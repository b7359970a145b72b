import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.errors import InputError
from tljax.models import build
from tljax.models.architecture import Cut
from tljax.models.text import bag, causal
from tljax.tasks.language import Language

from . import bases
from .references.seeded import sentences

OPTIONS = {"vocabulary": 60, "width": 64, "positions": 16}
BASES = {
    "causal": (causal.CAUSAL, OPTIONS, 192),
    "bag": (bag.BAG, {"vocabulary": 60, "width": 8}, 8),
}


def ids():
    return jnp.asarray(sentences(60, 12))


def made(name: str):
    architecture, options, _ = BASES[name]
    module = architecture.make(**options)
    return architecture, module, bases.quick(module.init)(jax.random.key(0), ids())


@pytest.mark.parametrize("name", BASES)
def test_every_cut_is_a_place_to_stop_and_start(name):
    architecture, module, tree = made(name)
    last, out = module.apply(tree, ids())
    assert last.shape == (4, BASES[name][2])
    assert tuple(out) == architecture.names
    middle = architecture.names[len(architecture.names) // 2 - 1]
    after, _ = module.apply(tree, out[middle], start=architecture.following(middle))
    np.testing.assert_array_equal(after, last)
    assert set(tree["params"]) == set(architecture.modules)
    assert architecture.frozen_prefix(architecture.modules) == "pool"


@pytest.mark.parametrize("name", BASES)
def test_padding_changes_nothing(name):
    _, module, tree = made(name)
    longer = jnp.concatenate([ids(), jnp.zeros((4, 4), jnp.int32)], axis=1)
    run = bases.quick(module.apply)
    np.testing.assert_allclose(run(tree, longer)[0], run(tree, ids())[0], rtol=1e-4, atol=1e-5)
    assert np.all(np.isfinite(run(tree, jnp.zeros((4, 12), jnp.int32))[0]))


def test_no_token_sees_a_later_one():
    _, module, tree = made("causal")
    x = ids().at[:].set(jnp.maximum(ids(), 1))
    run = bases.quick(lambda x: module.apply(tree, x, stop=causal.LAST)[0])
    changed = run(x.at[:, 7].set(5))
    np.testing.assert_allclose(changed[:, :7], run(x)[:, :7], rtol=1e-5, atol=1e-6)
    assert np.abs(changed[:, 7:] - run(x)[:, 7:]).max(axis=(0, 2)).min() > 1e-3


def test_the_summary_is_last_mean_and_largest():
    _, module, tree = made("causal")
    last, out = bases.quick(module.apply)(tree, ids())
    block, places = np.asarray(out[causal.LAST]), np.asarray(ids()) != 0
    for row, mask, x in zip(np.asarray(last), places, block, strict=True):
        real = x[mask]
        wanted = np.concatenate([real[-1], real.mean(0), real.max(0)])
        np.testing.assert_allclose(row, wanted, rtol=1e-5, atol=1e-5)


def test_a_bag_is_the_mean_of_its_words_in_any_order():
    _, module, tree = made("bag")
    words = np.asarray(tree["params"]["embed_words"]["embedding"])
    last, _ = module.apply(tree, ids()[:1])
    np.testing.assert_allclose(last[0], words[np.asarray(ids()[0])].mean(0), rtol=1e-5)
    turned, _ = module.apply(tree, ids()[:1, ::-1])
    np.testing.assert_allclose(turned, last, rtol=1e-5)


def test_a_language_model_has_logits_at_each_place():
    task = Language(vocabulary=60)
    module = build.classifier(build.Network("causal", OPTIONS), task=task, classes=1)
    tree = build.init_like(
        module, key=jax.random.key(0), like=jax.ShapeDtypeStruct((1, 12), jnp.int32)
    )
    logits, _ = bases.quick(module.apply)(tree, ids())
    assert logits.shape == (4, 12, 60)


def test_a_base_without_blocks_says_so():
    words = bag.Bag(between=lambda start, stop: (Cut("block1", ("block1_layer",)),))
    with pytest.raises(InputError, match="Bag: expected a base with blocks, found 'block1'"):
        words.init(jax.random.key(0), jnp.ones((1, 4), jnp.int32))
