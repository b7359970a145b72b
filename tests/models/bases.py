"""Checks that every base passes, whatever it is made of."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from tljax.models.architecture import Architecture, Layout

from .references.seeded import error, filled, images, summary, unpacked

REFERENCES = Path(__file__).parent / "references"
SEED = 7  # of the references' weights
TOP = ("predictions/kernel", "predictions/bias")
# Programs run once: compiling takes most of the time.
quick = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def shapes(architecture: Architecture, options=None, *, size: int = 64) -> dict:
    """The shapes of a base's variables: `{"params/stem_conv/kernel": (7, 7, 3, 64), ...}`."""
    module = architecture.make(**(options or {}))
    tree = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, size, size, 3)))
    return {path: leaf.shape for path, leaf in flatten_dict(tree, sep="/").items()}


def variables(architecture: Architecture, layout: Layout, leaves, options=None, *, size=64):
    """A base's variables from a file's leaves; the top is left out. Each leaf has its shape."""
    arranged = layout.arranged(leaves)
    tree = {}
    for path, shape in shapes(architecture, options, size=size).items():
        array = arranged.pop(path.partition("/")[2])
        assert array.shape == shape, path
        tree[path] = array
    assert set(arranged) <= set(TOP)
    return unflatten_dict(tree, sep="/")


def published(architecture: Architecture, layout: Layout, declared, *, size=64) -> int:
    """Check names and shapes of a published network; returns its number of parameters."""
    options = layout.options(declared)
    assert options is not None
    leaves = {
        name: np.broadcast_to(np.float32(0), shape)  # takes no memory
        for name, shape in declared.items()
    }
    tree = variables(architecture, layout, leaves, options, size=size)
    top = [leaf for path, leaf in layout.arranged(leaves).items() if path in TOP]
    return sum(leaf.size for leaf in [*jax.tree.leaves(tree["params"]), *top])


def loaded(name: str, architecture: Architecture, layout: Layout, **changes):
    """A stored reference, the module with the reference's weights, and its variables."""
    stored = dict(np.load(REFERENCES / f"{name}.npz"))
    declared = unpacked(stored.pop("shapes"))
    options = layout.options(declared)
    assert options is not None
    leaves, size = filled(declared, seed=SEED), int(next(iter(stored)).split("/")[1])
    return (
        stored,
        architecture.make(**options, **changes),
        variables(architecture, layout, leaves, options, size=size),
    )


def parity(
    stored, module, tree, mode: str, size: int, cuts: tuple[str, ...], *, tolerance: float = 1e-5
):
    """Check every cut in one mode at one size; returns the moved statistics."""
    pixels = jnp.asarray(images(size), module.dtype)
    program = quick(
        lambda tree, x: module.apply(tree, x, train=mode == "train", mutable=["batch_stats"])
    )
    (last, out), moved = program(tree, pixels)
    assert set(out) == set(cuts)
    np.testing.assert_array_equal(last, out[cuts[-1]])
    for cut, value in out.items():
        wanted = stored[f"{mode}/{size}/{cut}"]
        assert error(value, wanted) < tolerance, (cut, summary(value)[:3], wanted[:3])
    return moved.get("batch_stats", {})


def starts_and_stops(architecture: Architecture, module, tree, *, size: int):
    """Every cut is a place to stop and to start again: the same bits as the whole.

    Without a program: XLA rounds otherwise where it fuses otherwise.
    """
    pixels = jnp.asarray(images(size))
    last, out = module.apply(tree, pixels)
    assert last.ndim == 2
    assert tuple(out) == architecture.names
    x = pixels
    for cut in architecture.names:
        x, ran = module.apply(tree, x, start=cut, stop=cut)
        assert list(ran) == [cut]
        np.testing.assert_array_equal(x, out[cut], err_msg=cut)
    middle = architecture.names[len(architecture.names) // 2]
    following = architecture.following(middle)
    half, before = module.apply(tree, pixels, stop=middle)
    again, after = module.apply(tree, half, start=following)
    np.testing.assert_array_equal(again, last)
    assert (*before, *after) == architecture.names
    # A start makes parameters of nothing before it.
    made = jax.eval_shape(functools.partial(module.init, start=following), jax.random.key(0), half)
    needed = {module for cut in architecture.between(following) for module in cut.modules}
    assert set(made.get("params", {})) == needed


def groups_cover(architecture: Architecture, tree):
    """Each module belongs to one group, by its pattern, and there are no others."""
    assert set(tree["params"]) == set(architecture.modules)
    for module in tree["params"]:
        assert sum(module.startswith(f"{group}_") for group in architecture.groups) == 1
    assert architecture.fine_tune in architecture.groups


def gradients(module, tree, *, size: int):
    """Every parameter has a gradient; returns them."""
    pixels = jnp.asarray(images(size))

    @quick
    def slopes(params, rest, x):
        def loss(params):
            last, _ = module.apply(rest | {"params": params}, x)
            return jnp.square(last).mean()

        return jax.grad(loss)(params)

    rest = {name: leaves for name, leaves in tree.items() if name != "params"}
    found = flatten_dict(slopes(tree["params"], rest, pixels), sep="/")
    for path, slope in found.items():
        assert np.all(np.isfinite(slope)), path
        assert np.any(slope), path
    return found


def dropped(architecture: Architecture, options, tree, *, size: int):
    """Branches are dropped in training by keys, one an example, and only where it is asked for."""
    pixels = jnp.asarray(images(size))
    pixels = jnp.concatenate([pixels[:1]] * 3 + [pixels[1:]])
    first, second = jax.random.split(jax.random.key(3))
    keys = jnp.stack([first, second, first, second])

    def run(drop_path, rate, train=True, keys=keys):
        still = frozenset(
            path.rpartition("/")[0] for path in flatten_dict(tree.get("batch_stats", {}), sep="/")
        )
        module = architecture.make(**options, drop_path=drop_path, frozen=still)
        program = quick(
            lambda tree, x, rate, keys: module.apply(tree, x, train=train, rate=rate, keys=keys)[0]
        )
        return np.asarray(program(tree, pixels, rate, keys))

    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4)
    whole, some = run(0.0, 1.0), run(1.0, 1.0)
    close(run(1.0, 0.0), whole)
    close(run(1.0, 1.0, train=False), whole)
    close(some[0], some[2])  # the same image and key
    for one, another in ((some[0], some[1]), (some, whole)):  # the same image, another key; no drop
        with pytest.raises(AssertionError):
            close(one, another)
    close(run(0.5, 0.5), run(0.25, 1.0))  # their product counts
    module = architecture.make(**options, drop_path=0.5)
    with pytest.raises(ValueError, match="needs `keys`"):
        module.apply(tree, pixels, train=True, rate=0.5, mutable=["batch_stats"])
