import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from tljax.errors import InputError
from tljax.models.text import bert, tokens

from . import bases
from .references.seeded import error, filled, sentences, unpacked

TOY = bert.architecture("toy", width=48, heads=4, blocks=2)
OPTIONS = {"vocabulary": 60, "positions": 20}


@functools.cache
def reference():
    """The stored outputs, the module, and its variables as made from the file's names."""
    stored = dict(np.load(bases.REFERENCES / "bert.npz"))
    declared = unpacked(stored.pop("shapes"))
    (layout,) = TOY.layouts
    options = layout.options(declared)
    assert options == OPTIONS
    module = TOY.make(**options)
    arranged = layout.arranged(filled(declared, seed=bases.SEED))
    shapes = jax.eval_shape(module.init, jax.random.key(0), ids())
    expected = {path: leaf.shape for path, leaf in flatten_dict(shapes["params"], sep="/").items()}
    assert {path: leaf.shape for path, leaf in arranged.items()} == expected
    return stored, module, {"params": unflatten_dict(arranged, sep="/")}


def ids():
    return jnp.asarray(sentences(60, 12))


def test_agrees_with_transformers_at_every_cut():
    """In the sentences are padding and a hole, which transformers masks."""
    stored, module, tree = reference()
    last, out = bases.quick(module.apply)(tree, ids())
    np.testing.assert_array_equal(last, out["pool"])
    errors = {cut: error(value, stored[f"eval/12/{cut}"]) for cut, value in out.items()}
    assert set(errors) == set(TOY.names)
    assert max(errors.values()) < 1e-5, errors


def test_padding_is_zero_and_changes_nothing():
    _, module, tree = reference()
    run = bases.quick(module.apply)
    last, out = run(tree, ids())
    longer = jnp.concatenate([ids(), jnp.zeros((4, 5), jnp.int32)], axis=1)
    padded, _ = run(tree, longer)
    np.testing.assert_allclose(padded, last, rtol=1e-5, atol=1e-6)
    for cut in TOY.names[:-1]:
        np.testing.assert_array_equal(tokens.real(out[cut]), ids() != 0, err_msg=cut)
        assert not np.any(np.asarray(out[cut])[np.asarray(ids()) == 0])
    nothing, _ = run(tree, jnp.zeros((4, 12), jnp.int32))
    np.testing.assert_array_equal(nothing, np.zeros((4, 48)))


def test_every_cut_is_a_place_to_stop_and_start():
    _, module, tree = reference()
    last, out = module.apply(tree, ids())
    x = ids()
    for cut in TOY.names:
        x, ran = module.apply(tree, x, start=cut, stop=cut)
        assert list(ran) == [cut]
        np.testing.assert_array_equal(x, out[cut], err_msg=cut)
    half, _ = module.apply(tree, ids(), stop="block1")
    np.testing.assert_array_equal(module.apply(tree, half, start="block2")[0], last)
    bases.groups_cover(TOY, tree)
    assert TOY.frozen_prefix(TOY.modules) == "pool"


def test_every_parameter_counts():
    _, module, tree = reference()

    def loss(params):
        return jnp.square(module.apply({"params": params}, ids())[0]).mean()

    slopes = flatten_dict(bases.quick(jax.grad(loss))(tree["params"]), sep="/")
    for path, slope in slopes.items():
        assert np.all(np.isfinite(slope)), path
        # A softmax is the same where every key of it is shifted.
        assert np.abs(slope).max() > (0 if path.endswith("key/bias") else 1e-7), path


def test_dropout_is_by_key():
    _, module, tree = reference()
    module = TOY.make(**OPTIONS, dropout=0.5)
    two = jnp.concatenate([ids()[:1]] * 3)
    first, second = jax.random.split(jax.random.key(3))
    keys = jnp.stack([first, second, first])

    @bases.quick
    def run(rate):
        return module.apply(tree, two, train=True, rate=rate, keys=keys)[0]

    dropped = run(0.4)
    np.testing.assert_array_equal(dropped[0], dropped[2])
    assert not np.allclose(dropped[0], dropped[1])
    whole = bases.quick(module.apply)(tree, two)[0]
    np.testing.assert_allclose(run(0.0), whole, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="needs `keys`"):
        module.apply(tree, two, train=True, rate=0.5)


def test_the_published_file_is_recognised():
    declared = unpacked(np.load(bases.REFERENCES / "bert_shapes.npz")["minilm-l6"])
    (layout,) = bert.MINILM.layouts
    assert layout.options(declared) == {"vocabulary": 30522, "positions": 512}
    zeros = {name: np.broadcast_to(np.float32(0), shape) for name, shape in declared.items()}
    arranged = layout.arranged(zeros)
    module = bert.MINILM.make()
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 8), jnp.int32))
    expected = flatten_dict(shapes["params"], sep="/")
    assert {path: leaf.shape for path, leaf in arranged.items()} == {
        path: leaf.shape for path, leaf in expected.items()
    }
    assert sum(leaf.size for leaf in expected.values()) == 22_565_376  # without BERT's pooler
    deeper = declared | {
        name.replace("layer.5", "layer.6"): shape for name, shape in declared.items()
    }
    assert layout.options(deeper) is None
    assert layout.options(TOY_SHAPES) is None
    other = "encoder.layer.0.crossattention.self.key.weight"
    assert layout.ours(other) == other


TOY_SHAPES = {"embeddings.word_embeddings.weight": (60, 48)}


def test_texts_that_are_too_long_are_named():
    with pytest.raises(InputError, match="texts of 21 tokens: expected at most 20"):
        TOY.make(**OPTIONS).init(jax.random.key(0), jnp.zeros((1, 21), jnp.int32))
