import math
from dataclasses import replace

import flax.linen as nn
import jax
import numpy as np
import pytest

from tljax.config import HEAD_ONLY, TRAIN_ALL, Stage, rules_of
from tljax.data.augment import Augment
from tljax.data.draws import draws
from tljax.data.preprocess import UNIT
from tljax.data.sources import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.inputs import images as inputs
from tljax.machine import devices
from tljax.models import build, ops
from tljax.models.classifiers import Classifier
from tljax.models.heads import Head
from tljax.optim.objective import Objective
from tljax.optim.schedules import WarmupCosine
from tljax.optim.transform import Optimizer
from tljax.train import loop, segments
from tljax.train.ready import Ready
from tljax.tree import flatten


@pytest.fixture(scope="module", autouse=True)
def compiled_in_a_hurry():
    """Compiling takes most of the time here,
    and most of that is the optimiser over random draws.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        yield


class Flat(nn.Module):
    """A base without parameters: with a linear head, logistic regression on pixels."""

    @nn.compact
    def __call__(self, x, *, train=False, **options):
        return x.reshape(x.shape[0], -1), {}


LINEAR = Classifier(base=Flat(), head=Head(outputs=1, hidden=0))
DROPPED = Classifier(base=Flat(), head=Head(outputs=1, hidden=4, dropout_hidden=True))
SGD = Optimizer("sgd", momentum=0.0)
# 20 images, batches of 8: 2 steps an epoch, in and out of step with the passes.
STAGE = Stage("tiny", TRAIN_ALL, lr=0.5, epochs=3, optimizer=SGD, batch_size=8)
AUGMENTED = replace(
    STAGE, augment=Augment(), dropout=0.5, images_per_epoch=32, epochs=2, keep_going=True
)


def images(count, *, size=4, seed=0, name="train"):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count).astype(np.int32)
    pixels = rng.integers(0, 156, (count, size, size, 3)) + 100 * labels[:, None, None, None]
    return ImageSet(pixels.astype(np.uint8), labels, tuple(f"{name}/{i}" for i in range(count)))


def photographs(size=4):
    train, validation = images(20, size=size), images(11, size=size, seed=1, name="validation")
    return ImageSets("test", ("cat", "dog"), train, validation, "0" * 64)


SETS = photographs()


def train(stage, *, module, seed=0, sets=SETS, **options):
    size = sets.train.images.shape[1]
    variables = options.pop("variables", None) or build.init(
        module, key=jax.random.key(9), size=size
    )
    read = inputs.from_images(sets, augment=stage.augment, preprocess=UNIT)
    over = devices.mesh(jax.devices()[:1])
    options = {"over": over, "progress": False} | options
    ready = Ready(module, variables, read, resumed=options.pop("resumed", None))
    return loop.train_stage(stage, ready, seed=seed, **options)


def bits(state):
    return [leaf.tobytes() for leaf in jax.tree.leaves(jax.device_get(state.params))]


@pytest.fixture(scope="module")
def straight():
    return train(AUGMENTED, module=DROPPED)


def by_hand(stage, *, seed, sets=SETS):
    """Logistic regression by gradient descent in float64, in the order of `draws`: weights,
    and losses by epoch.
    """
    start = build.init(LINEAR, key=jax.random.key(9), size=4)["params"]["head"]["predictions"]
    w, b = np.asarray(start["kernel"], np.float64)[:, 0], 0.0
    x, y = sets.train.images.reshape(20, -1) / 255, sets.train.labels
    losses = []
    for epoch in range(stage.epochs):
        total, right = 0.0, 0
        for step in range(2 * epoch, 2 * epoch + 2):
            _, now = draws(step * 8, 8, examples=20, seed=seed)
            z = x[now] @ w + b
            total += (np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0) - z * y[now]).sum()
            right += int(((z > 0) == y[now]).sum())
            g = (1 / (1 + np.exp(-z)) - y[now]) / 8
            w, b = w - stage.lr * g @ x[now], b - stage.lr * g.sum()
        losses.append((total / 16, right / 16))
    return w, b, losses


def test_training_is_gradient_descent_by_hand():
    state, history = train(STAGE, module=LINEAR, seed=3)
    w, b, losses = by_hand(STAGE, seed=3)
    found = state.params["head"]["predictions"]
    np.testing.assert_allclose(found["kernel"][:, 0], w, atol=1e-5)
    np.testing.assert_allclose(found["bias"][0], b, atol=1e-5)
    for record, (loss, accuracy) in zip(history.epochs[1:], losses, strict=True):
        assert record["train"] == pytest.approx({"loss": loss, "accuracy": accuracy}, abs=1e-5)
    z = SETS.validation.images.reshape(11, -1) / 255 @ w + b
    assert (
        history.epochs[-1]["validation"]["accuracy"] == ((z > 0) == SETS.validation.labels).mean()
    )
    assert history.epochs[-1]["validation"]["n"] == 11


def test_a_record_tells_all_about_an_epoch():
    told = []
    stage = replace(STAGE, lr=WarmupCosine(0.5), rules=(("head/.*/bias", 0.5), (".*", 1.0)))
    state, history = train(
        stage, module=LINEAR, seed=4, on_epoch=lambda record, state: told.append(record)
    )
    assert told == history.epochs
    assert [(r["rung"], r["seed"], r["epoch"], r["step"]) for r in told] == [
        ("tiny", 4, e, 2 * e) for e in range(4)
    ]
    start = told.pop(0)
    assert start.keys() == {
        "rung",
        "seed",
        "epoch",
        "step",
        "train",
        "validation",
        "rates",
        "seconds",
    }
    assert start["rates"] == {}
    np.testing.assert_equal(start["train"], {"loss": math.nan, "accuracy": math.nan})
    # Six steps, one of them warm-up; a record has the rate of its last step: the cosine at 1/5, 3/5
    # and 5/5.
    for record, place in zip(told, (1 / 5, 3 / 5, 1), strict=True):
        rate = 0.25 * (1 + math.cos(math.pi * place))
        assert record["rates"] == pytest.approx({"head/.*/bias": 0.5 * rate, ".*": rate}, abs=1e-7)
    assert all(
        record[name] > 0
        for record in told
        for name in ("images_per_second", "seconds", "grad_norm")
    )
    assert told[0]["seconds"] < told[1]["seconds"] < told[2]["seconds"] <= history.seconds
    assert state.step == 6
    assert history.compile_seconds > 0
    assert history.images_per_second > 0
    assert history.step_flops > 0


def test_where_epochs_are_cut_does_not_change_a_bit(monkeypatch, straight):
    monkeypatch.setattr(segments, "segment_steps", lambda steps: 1)
    state, history = train(AUGMENTED, module=DROPPED)
    assert bits(state) == bits(straight[0])
    for found, expected in zip(history.epochs, straight[1].epochs, strict=True):
        for told in ("epoch", "step", "rates", "train", "validation"):
            assert found[told] == pytest.approx(expected[told], nan_ok=True)


def test_streaming_changes_nothing_and_each_program_is_traced_once(monkeypatch, straight):
    """The same seed gives the same bits a second time,
    whether the photographs live on the device or not.
    """
    monkeypatch.setattr("tljax.train.segments.place", lambda array, over: "streamed")
    monkeypatch.setattr("tljax.train.evaluate.place", lambda array, over: "streamed")
    traces = {"train": 0, "plain": 0}
    read = inputs.from_images(SETS, augment=AUGMENTED.augment, preprocess=UNIT)

    def counted(name, prepare):
        def count(*args):
            traces[name] += 1
            return prepare(*args)

        return count

    read = replace(
        read, augmented=counted("train", read.augmented), plain=counted("plain", read.plain)
    )
    variables = build.init(DROPPED, key=jax.random.key(9), size=4)
    state, _ = loop.train_stage(
        AUGMENTED,
        Ready(DROPPED, variables, read),
        seed=0,
        over=devices.mesh(jax.devices()[:1]),
        progress=False,
    )
    assert bits(state) == bits(straight[0])
    assert traces == {"train": 1, "plain": 1}


def test_eight_devices_give_what_one_gives(straight):
    state, history = train(AUGMENTED, module=DROPPED, over=None)
    assert len(state.step.sharding.device_set) == 8
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), state.params, straight[0].params
    )
    assert history.epochs[-1]["validation"] == pytest.approx(
        straight[1].epochs[-1]["validation"], abs=1e-6
    )


def test_another_seed_is_another_run(straight):
    assert bits(train(AUGMENTED, module=DROPPED, seed=1)[0]) != bits(straight[0])


def test_a_loss_that_is_not_finite_names_stage_and_step():
    """A rate of 1e38 is finite in float32; the weights after one step are not."""
    variables = build.init(LINEAR, key=jax.random.key(9), size=4)
    with pytest.raises(
        InputError, match=r"stage 'tiny': the loss of step [123] is not finite; lower the rate"
    ):
        train(replace(STAGE, lr=3e38), module=LINEAR, variables=variables)
    assert np.isfinite(variables["params"]["head"]["predictions"]["kernel"]).all()


def test_a_batch_that_does_not_divide_over_the_mesh_is_refused():
    with pytest.raises(InputError, match="batch size 12"):
        train(replace(STAGE, batch_size=12), module=LINEAR, over=devices.mesh())


@pytest.mark.parametrize(
    ("steps", "segment"),
    [
        (1, 1),
        (7, 7),
        (8, 8),
        (28, 28),
        (32, 32),
        (45, 15),
        (50, 25),
        (64, 32),
        (100, 25),
        (14, 14),
        (62, 31),
        (97, 97),
    ],
)
def test_a_program_is_the_largest_divisor_up_to_32_steps(steps, segment):
    """Where that is under 8 (97 is a prime), the whole epoch."""
    assert segments.segment_steps(steps) == segment


def test_frozen_layers_keep_their_bits_and_the_others_move():
    """Head only, then with block 5, on a VGG16 of a sixteenth of the width: leaf by leaf."""
    module = build.classifier(build.Network(hidden=32, options={"width": 0.0625}), classes=2)
    sets = photographs(size=32)
    variables = build.init(module, key=jax.random.key(9), size=32)
    # Thirteen layers halve a signal thirteen times from these initial kernels; it is to reach the
    # head.
    variables = jax.tree.map(lambda leaf: leaf * 1.5 if leaf.ndim == 4 else leaf, variables)
    for trained, prefixes in (
        (HEAD_ONLY, ("head/",)),
        (rules_of("finetune"), ("head/", "base/block5_")),
    ):
        before = flatten(jax.device_get(variables["params"]))
        stage = Stage("vgg", trained, lr=1e-2, epochs=1, batch_size=8, keep_going=True)
        state, _ = train(stage, module=module, variables=variables, sets=sets)
        after = flatten(jax.device_get(state.params))
        moved = {path for path in after if after[path].tobytes() != before[path].tobytes()}
        assert moved == {path for path in after if path.startswith(prefixes)}
        variables = {"params": state.params}


def test_a_stage_goes_on_where_it_stopped():
    """Four epochs straight, and two of them continued from the state after two:
    the same bits, step and records.
    """
    stage = replace(
        AUGMENTED, epochs=4, optimizer=Optimizer("adam"), lr=WarmupCosine(0.01), keep_going=True
    )
    states = []
    whole, history = train(
        stage, module=DROPPED, on_epoch=lambda record, state: states.append(jax.device_get(state))
    )
    again, rest = train(stage, module=DROPPED, resumed=states[2])
    assert bits(again) == bits(whole)
    assert int(again.step) == int(whole.step)
    assert [(r["epoch"], r["validation"]) for r in rest.epochs] == [
        (r["epoch"], r["validation"]) for r in history.epochs[3:]
    ]
    with pytest.raises(
        InputError, match="a state of step 3 cannot be continued: expected the end of one of its 4"
    ):
        train(stage, module=DROPPED, resumed=states[2].replace(step=np.int32(3)))


def test_it_trains_until_it_overfits_and_steps_back():
    """At a rate that diverges from the first epoch on,
    the state of that epoch comes back, whole, and can go on.
    """
    stage = replace(STAGE, lr=30.0, epochs=9, patience=2)
    states = []
    state, history = train(
        stage, module=LINEAR, on_epoch=lambda record, state: states.append(jax.device_get(state))
    )
    losses = [record["validation"]["loss"] for record in history.epochs]
    best = 1 + int(
        np.argmin(losses[1:])
    )  # the start is not among those that patience may go back to
    assert len(losses) == best + 3 < 10
    assert history.kept == best
    assert history.result() is history.epochs[best]
    for found, expected in zip(
        jax.tree.leaves(jax.device_get(state)), jax.tree.leaves(states[best]), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    back, told = train(replace(stage, step_back=1), module=LINEAR)
    assert told.kept == len(told.epochs) - 2
    assert int(back.step) == 2 * told.kept


def test_averages_follow_the_parameters_and_are_what_is_evaluated():
    stage = replace(STAGE, ema=0.5, epochs=1, keep_going=True)
    seen = []
    state, history = train(stage, module=LINEAR, on_epoch=lambda record, state: seen.append(state))
    # Two steps: the decay of a young average is 1/10, then 2/11.
    first = train(replace(STAGE, epochs=1, images_per_epoch=8, keep_going=True), module=LINEAR)[0]
    start = build.init(LINEAR, key=jax.random.key(9), size=4)["params"]["head"]["predictions"][
        "kernel"
    ]
    one, two = (s.params["head"]["predictions"]["kernel"] for s in (first, state))
    expected = 2 / 11 * (0.1 * start + 0.9 * one) + 9 / 11 * two
    np.testing.assert_allclose(state.ema["head/predictions/kernel"], expected, atol=1e-6)
    assert state.ema.keys() == {"head/predictions/kernel", "head/predictions/bias"}
    w, b = (
        np.float64(state.ema[f"head/predictions/{name}"]).ravel() for name in ("kernel", "bias")
    )
    z = SETS.validation.images.reshape(11, -1) / 255 @ w + b
    loss = np.logaddexp(0, z) - SETS.validation.labels * z
    assert history.epochs[-1]["validation"]["loss"] == pytest.approx(loss.mean(), rel=1e-5)


def test_strength_is_part_of_every_draw():
    """At strength 0 an augmented stage is the plain one, by numbers; in between it is neither."""
    plain = bits(train(replace(AUGMENTED, augment=None), module=DROPPED)[0])
    strengths = {
        s: train(replace(AUGMENTED, augment_strength=s), module=DROPPED)[0] for s in (0.0, 0.5, 1.0)
    }
    still = np.frombuffer(b"".join(bits(strengths[0.0])), np.float32)
    np.testing.assert_allclose(still, np.frombuffer(b"".join(plain), np.float32), atol=1e-5)
    assert len({tuple(bits(state)) for state in strengths.values()}) == 3


def test_mixing_and_balance_reach_the_step():
    base = train(STAGE, module=LINEAR)[0]
    skewed = replace(
        SETS, train=replace(SETS.train, labels=np.r_[np.ones(15), np.zeros(5)].astype(np.int32))
    )
    for objective in (Objective(mixup=0.5), Objective(label_smoothing=0.2)):
        assert bits(train(replace(STAGE, objective=objective), module=LINEAR)[0]) != bits(base)
    balanced = train(
        replace(STAGE, objective=Objective(class_weights="balanced")), module=LINEAR, sets=skewed
    )[0]
    by_hand = train(
        replace(STAGE, objective=Objective(class_weights=(2.0, 2 / 3))), module=LINEAR, sets=skewed
    )[0]
    assert bits(balanced) == bits(by_hand)


def test_a_rate_that_is_still_to_be_found_names_who_finds_it():
    with pytest.raises(
        InputError,
        match=r"stage 'tiny': lr=\"find\" is no rate yet: tljax.lr_find finds one, and",
    ):
        train(replace(STAGE, lr="find"), module=LINEAR)
