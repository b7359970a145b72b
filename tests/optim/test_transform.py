import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.errors import InputError
from tljax.optim import transform
from tljax.optim.schedules import Schedule
from tljax.optim.transform import Optimizer

RULES = [("head/.*", 1.0), ("base/late/.*", 0.1), (".*", None)]
# Scalars, as in big_vision's tests: an update is a formula that fits on a line.
PARAMS = {"head/kernel": 2.0, "head/bias": -1.0, "base/late/kernel": 0.5, "base/late/bias": 3.0}
PATHS = (*PARAMS, "base/early/kernel")
LR = 0.01
# Steep, ordinary and tiny, with both signs: a tiny gradient is where the two epsilons differ.
GRADIENTS = [
    {path: g * s for path, s in zip(PARAMS, (1, -2, 0.5, 1e-4), strict=True)}
    for g in (1.0, -0.3, 1e-3, 2.0)
]


def multiplier(path):
    return 1.0 if path.startswith("head") else 0.1


def test_rules_are_in_the_same_order_in_every_process(monkeypatch):
    """Of the first parameter that each decides; a set's order is another one in each process."""
    names = [f"layer{i}" for i in (3, 1, 4, 0, 5, 9, 2, 6, 8, 7)]
    given = []
    monkeypatch.setattr(transform.optax, "multi_transform", lambda chains, _: given.extend(chains))
    monkeypatch.setattr(transform.optax, "with_extra_args_support", lambda tx: tx)
    rules = [(f"{name}/.*", 0.5) for name in sorted(names)]
    transform.make(Optimizer(), rules, [f"{name}/kernel" for name in names])
    assert given == [f"{name}/.*" for name in names]


def run(optimizer, gradients=GRADIENTS, rules=RULES):
    """Parameters after each step."""
    params = {path: jnp.float32(value) for path, value in PARAMS.items()}
    tx = transform.make(optimizer, rules, PATHS)
    state, history = tx.init(params), []
    update = jax.jit(tx.update)
    for step, grads in enumerate(gradients):
        grads = {path: jnp.float32(g) for path, g in grads.items()}
        updates, state = update(grads, state, params, lr=jnp.float32(LR * (1 + step)))
        params = {path: params[path] + updates[path] for path in params}
        history.append({path: float(value) for path, value in params.items()})
    return history


def replay(direction, gradients=GRADIENTS, *, decay=0.0):
    """The same in Python floats; `direction(path, g, memory, t)` is the update without its rate."""
    params, memories, history = dict(PARAMS), {path: {} for path in PARAMS}, []
    for t, grads in enumerate(gradients, start=1):
        for path in params:
            shrink = decay * params[path] if path.endswith("kernel") else 0.0
            step = direction(path, grads[path], memories[path], t) + shrink
            params[path] -= LR * t * multiplier(path) * step
        history.append(dict(params))
    return history


def assert_close(found, expected):
    for step, (a, b) in enumerate(zip(found, expected, strict=True)):
        for path in b:
            moved = b[path] - PARAMS[path]
            assert a[path] - PARAMS[path] == pytest.approx(moved, rel=1e-4, abs=4e-7), (step, path)


def keras2(path, g, memory, t):
    memory["v"] = 0.9 * memory.get("v", 0.0) + 0.1 * g**2
    return g / (np.sqrt(memory["v"]) + 1e-7)


def keras3(path, g, memory, t):
    memory["v"] = 0.9 * memory.get("v", 0.0) + 0.1 * g**2
    return g / np.sqrt(memory["v"] + 1e-7)


def adam(path, g, memory, t):
    memory["m"] = 0.9 * memory.get("m", 0.0) + 0.1 * g
    memory["v"] = 0.999 * memory.get("v", 0.0) + 0.001 * g**2
    return memory["m"] / (1 - 0.9**t) / (np.sqrt(memory["v"] / (1 - 0.999**t)) + 1e-7)


def nesterov(path, g, memory, t):
    memory["v"] = g + 0.9 * memory.get("v", 0.0)
    return g + 0.9 * memory["v"]


def plain(path, g, memory, t):
    return g


@pytest.mark.parametrize(
    ("optimizer", "direction"),
    [
        (Optimizer("rmsprop", eps_in_sqrt=False), keras2),
        (Optimizer(), keras3),
        (Optimizer("adam"), adam),
        (Optimizer("sgd"), nesterov),
        (Optimizer("sgd", momentum=0.0), plain),
    ],
)
def test_steps_by_formula(optimizer, direction):
    assert_close(run(optimizer), replay(direction))


def test_the_two_epsilons_are_far_apart_where_gradients_are_tiny():
    """The first step on a gradient of 1e-5: Keras 2 makes its full step,
    Keras 3 a hundredth of it.
    """
    tiny = [dict.fromkeys(PARAMS, 1e-5)]
    steps = [
        PARAMS["head/bias"] - run(Optimizer(eps_in_sqrt=inside), tiny)[0]["head/bias"]
        for inside in (False, True)
    ]
    assert steps[0] == pytest.approx(LR * np.sqrt(10) * (1 / (1 + np.sqrt(10) * 1e-2)), rel=1e-4)
    assert steps[1] == pytest.approx(LR * 1e-5 / np.sqrt(1e-11 + 1e-7), rel=1e-2)
    assert steps[0] > 90 * steps[1]


def test_weight_decay_is_decoupled_and_on_kernels_only():
    """It is not divided by the root of the squares,
    and takes part in the rate and its multiplier.
    """
    assert_close(run(Optimizer(weight_decay=0.2)), replay(keras3, decay=0.2))
    assert_close(run(Optimizer("sgd", momentum=0.0, weight_decay=0.2)), replay(plain, decay=0.2))


def lamb(path, g, memory, t):
    """On scalars the trust ratio leaves the sign of Adam's step with its decay,
    and the size of the parameter.
    """
    at = memory.setdefault("parameter", PARAMS[path])
    decay = 0.1 * at if path.endswith("kernel") else 0.0
    step = abs(at) * np.sign(adam(path, g, memory, t) + decay)
    memory["parameter"] -= LR * t * multiplier(path) * step
    return step


def test_with_a_trust_ratio_the_rate_is_the_part_of_its_norm_that_a_leaf_moves():
    assert_close(run(Optimizer("adam", weight_decay=0.1, trust_ratio=True)), replay(lamb))


def test_relative_steps_are_the_same_for_weights_of_any_scale():
    """Both leaves of a rule move by the rate times their own norms, whatever these are."""
    rng = np.random.default_rng(0)
    params = {
        name: rng.normal(0, s, (3, 4)).astype(np.float32)
        for name, s in (("a/kernel", 1e-3), ("b/kernel", 50.0))
    }
    grads = {name: rng.normal(0, 1, (3, 4)).astype(np.float32) for name in params}
    tx = transform.make(Optimizer("adam", trust_ratio=True), [(".*", 1.0)], params)
    updates, _ = tx.update(grads, tx.init(params), params, lr=jnp.float32(LR))
    for name, leaf in params.items():
        assert np.linalg.norm(updates[name]) / np.linalg.norm(leaf) == pytest.approx(LR, rel=1e-5)


def test_clipping_is_over_the_leaves_of_one_rule():
    """Norm 5 in the head, 0.5 in the base: the head is clipped to 1, the base is left alone."""
    grads = {"head/kernel": 3.0, "head/bias": -4.0, "base/late/kernel": 0.3, "base/late/bias": 0.4}
    (found,) = run(Optimizer("sgd", momentum=0.0, clip_norm=1.0), [grads])
    clipped = {
        "head/kernel": 0.6,
        "head/bias": -0.8,
        "base/late/kernel": 0.3,
        "base/late/bias": 0.4,
    }
    for path, g in clipped.items():
        assert PARAMS[path] - found[path] == pytest.approx(LR * multiplier(path) * g, abs=4e-7)


@pytest.mark.parametrize(
    ("name", "copies", "counters"), [("rmsprop", 1, 0), ("adam", 2, 2), ("sgd", 1, 0)]
)
def test_state_exists_for_trainable_leaves_only(name, copies, counters):
    """As many bytes as the trainable leaves have, once per moment;
    and nothing named after a frozen leaf.
    """
    trainable = {"head/kernel": jnp.zeros((5, 3)), "base/late/kernel": jnp.zeros((7, 2))}
    tx = transform.make(
        Optimizer(name, weight_decay=0.1, clip_norm=1.0), RULES, [*trainable, "base/early/kernel"]
    )
    state = tx.init(trainable)
    assert (
        sum(leaf.nbytes for leaf in jax.tree.leaves(state)) == copies * 4 * (15 + 14) + counters * 4
    )
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(state)]
    assert not any("early" in path for path in paths)
    for leaf in trainable:
        assert sum(leaf in path for path in paths) == copies + counters // 2


def test_a_new_rate_is_not_a_new_program():
    tx = transform.make(Optimizer(), RULES, PATHS)
    params = {path: jnp.float32(value) for path, value in PARAMS.items()}
    traces = []

    @jax.jit
    def update(state, lr):
        traces.append(lr)
        return tx.update(params, state, params, lr=lr)

    _, state = update(tx.init(params), jnp.float32(0.1))
    update(state, jnp.float32(0.2))
    assert len(traces) == 1


def test_frozen_leaves_are_not_part_of_it():
    """The transformation takes the trainable leaves alone;
    a frozen one among them is a mistake in the caller.
    """
    tx = transform.make(Optimizer(), RULES, PATHS)
    with pytest.raises(ValueError, match="early"):
        tx.init({**{path: jnp.float32(0) for path in PARAMS}, "base/early/kernel": jnp.float32(0)})


def test_adamw_is_adam_with_decay():
    assert Optimizer("adamw") == Optimizer("adam", weight_decay=1e-2)
    assert Optimizer("adamw", weight_decay=0.3) == Optimizer("adam", weight_decay=0.3)


def test_unknown_optimizers_are_refused():
    with pytest.raises(InputError, match="unknown optimizer 'lion'; rmsprop, adam, adamw or sgd"):
        Optimizer("lion")


@pytest.mark.parametrize("name", ["rmsprop", "adam", "sgd"])
def test_an_unfreeze_keeps_the_state_of_what_trained_and_starts_the_rest_anew(name):
    """A leaf may change its rule; its moments and its counter go with it."""
    before = [("head/.*", 1.0), (".*", None)]
    after = [("head/kernel", 1.0), ("head/bias", 0.5), ("base/late/.*", 0.1), (".*", None)]
    head = {path: jnp.float32(2.0) for path in PARAMS if path.startswith("head")}
    old_tx, new_tx = (transform.make(Optimizer(name), rules, PATHS) for rules in (before, after))
    old = old_tx.init(head)
    for _ in range(3):
        _, old = old_tx.update(head, old, head, lr=jnp.float32(LR))
    everything = {path: jnp.float32(value) for path, value in PARAMS.items()}
    fresh = new_tx.init(everything)
    carried = transform.carry(old, fresh)
    assert jax.tree.structure(carried) == jax.tree.structure(fresh)

    def of(state, path):
        leaves = jax.tree_util.tree_leaves_with_path(state)
        return [
            float(leaf) for place, leaf in leaves if f"'{path}'" in jax.tree_util.keystr(place[3:])
        ]

    for path in PARAMS:
        assert of(carried, path) == of(old if path.startswith("head") else fresh, path), path
    assert of(carried, "head/bias") != of(fresh, "head/bias")


class Line(Schedule):
    def __call__(self, steps):
        return lambda step: float(step)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_momentum_of_the_step_by_formula(name):
    """Momentum 0.5, 0.6, ... as a traced value,
    against the update rules with a momentum of their own each step.
    """
    momenta = [0.5 + 0.1 * t for t in range(len(GRADIENTS))]

    def scheduled(path, g, memory, t):
        m = momenta[t - 1]
        if name == "sgd":
            memory["v"] = g + m * memory.get("v", 0.0)
            return g + m * memory["v"]
        memory["m"] = m * memory.get("m", 0.0) + (1 - m) * g
        memory["v"] = 0.999 * memory.get("v", 0.0) + 0.001 * g**2
        return memory["m"] / (1 - m**t) / (np.sqrt(memory["v"] / (1 - 0.999**t)) + 1e-7)

    params = {path: jnp.float32(value) for path, value in PARAMS.items()}
    tx = transform.make(Optimizer(name, momentum=Line(), weight_decay=Line()), RULES, PATHS)
    state, traces = tx.init(params), []

    @jax.jit
    def update(grads, state, params, **hyper):
        traces.append(1)
        return tx.update(grads, state, params, **hyper)

    found, decayed = [], replay(scheduled, decay=0.2)
    for t, grads in enumerate(GRADIENTS):
        hyper = {"lr": LR * (1 + t), "momentum": momenta[t], "weight_decay": 0.2}
        updates, state = update(
            {p: jnp.float32(g) for p, g in grads.items()}, state, params, **hyper
        )
        params = {path: params[path] + updates[path] for path in params}
        found.append({path: float(value) for path, value in params.items()})
    assert_close(found, decayed)
    assert len(traces) == 1


def test_a_momentum_that_would_be_ignored_is_refused():
    with pytest.raises(InputError, match="rmsprop has no momentum to schedule"):
        Optimizer("rmsprop", momentum=Line())
