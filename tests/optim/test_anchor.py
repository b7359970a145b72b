import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.errors import InputError
from tljax.optim import transform
from tljax.optim.transform import Optimizer

RULES = (("head/.*", 1.0), ("base/late/.*", 0.1), (".*", None))
START = {"head/kernel": 2.0, "base/late/kernel": 0.5, "base/late/bias": 3.0}
PATHS = (*START, "base/early/kernel")
GRADIENTS = ({"head/kernel": 1.0, "base/late/kernel": -2.0, "base/late/bias": 0.5},) * 3
LR = 0.1


def steps(optimizer, *, rules=RULES, anchor=None):
    params = {path: jnp.float32(value) for path, value in START.items()}
    tx = transform.make(optimizer, rules, PATHS, anchor=anchor)
    state, history = tx.init(params), []
    for grads in GRADIENTS:
        grads = {path: jnp.float32(g) for path, g in grads.items()}
        updates, state = jax.jit(tx.update)(grads, state, params, lr=jnp.float32(LR))
        params = {path: params[path] + updates[path] for path in params}
        history.append({path: float(value) for path, value in params.items()})
    return history, state


def test_the_step_written_out():
    """Plain descent, then `rate * anchor` of the way back to the start, on the base alone."""
    now = dict(START)
    history, _ = steps(Optimizer("sgd", momentum=0.0, anchor=4.0))
    for step, grads in enumerate(GRADIENTS):
        for path, g in grads.items():
            back = 4.0 * (now[path] - START[path]) if path.startswith("base/") else 0.0
            now[path] -= LR * (0.1 if path.startswith("base/") else 1.0) * (g + back)
        assert history[step] == pytest.approx(now, rel=1e-6)


def test_it_pulls_to_a_start_that_is_given():
    """The step written out, towards the weights of a base that has moved since."""
    anchor = {"base/late/kernel": np.float32(-1.0), "base/other": np.float32(9.0)}
    now = dict(START)
    history, _ = steps(Optimizer("sgd", momentum=0.0, anchor=4.0), anchor=anchor)
    for step, grads in enumerate(GRADIENTS):
        for path, g in grads.items():
            start = anchor.get(path, START[path])
            back = 4.0 * (now[path] - start) if path.startswith("base/") else 0.0
            now[path] -= LR * (0.1 if path.startswith("base/") else 1.0) * (g + back)
        assert history[step] == pytest.approx(now, rel=1e-6)


def test_decay_towards_zero_is_left_to_the_head():
    now = dict(START)
    history, _ = steps(Optimizer("sgd", momentum=0.0, anchor=4.0, weight_decay=0.5))
    for step, grads in enumerate(GRADIENTS):
        for path, g in grads.items():
            base = path.startswith("base/")
            more = 4.0 * (now[path] - START[path]) if base else 0.5 * now[path]
            now[path] -= LR * (0.1 if base else 1.0) * (g + more)
        assert history[step] == pytest.approx(now, rel=1e-6)


def test_the_trust_ratio_scales_the_gradient_not_the_anchor():
    optimizer = Optimizer("sgd", momentum=0.0, trust_ratio=True, anchor=4.0)
    now = START["base/late/kernel"]
    history, _ = steps(optimizer)
    for step in range(3):
        direction = -abs(now)  # of the gradient -2: its own size does not matter
        now -= LR * 0.1 * (direction + 4.0 * (now - START["base/late/kernel"]))
        assert history[step]["base/late/kernel"] == pytest.approx(now, rel=1e-6)


def test_a_later_stage_keeps_the_first_start_of_the_leaves_it_goes_on_with():
    optimizer = Optimizer("sgd", momentum=0.0, anchor=4.0)
    history, old = steps(optimizer)
    params = {path: jnp.float32(value) for path, value in history[-1].items()}
    params["base/early/kernel"] = jnp.float32(7.0)
    new = transform.make(optimizer, ((".*", 1.0),), PATHS).init(params)
    starts = {
        path[-1].key: float(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(transform.carry(old, new))
    }
    assert starts["base/late/kernel"] == START["base/late/kernel"]
    assert starts["base/early/kernel"] == 7.0


def test_its_start_is_a_buffer_of_its_own():
    params = {"base/late/kernel": jnp.ones(3), "head/kernel": jnp.ones(3)}
    tx = transform.make(Optimizer("sgd", anchor=1.0), ((".*", 1.0),), params)
    state = tx.init(params)
    held = [leaf for leaf in jax.tree.leaves(state) if leaf.shape == (3,)]
    pointers = {leaf.unsafe_buffer_pointer() for leaf in held}
    assert params["base/late/kernel"].unsafe_buffer_pointer() not in pointers
    assert np.isfinite(np.asarray(held)).all()


@pytest.mark.parametrize("strength", [-1.0, float("nan"), float("inf")])
def test_other_strengths_are_refused(strength):
    with pytest.raises(InputError, match=r"Optimizer\.anchor: expected 0 or more"):
        Optimizer(anchor=strength)
