"""Programs of a small stage as an accelerator would have them, traced from shapes."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from tljax.config import TRAIN_ALL, Stage, pretraining, rules_of
from tljax.data.augment import Augment
from tljax.data.sources import ImageSet, ImageSets
from tljax.data.text.augment import Offsets, TokenDropout
from tljax.data.text.sets import TextSet, TextSets
from tljax.data.text.vocabulary import Vocabulary
from tljax.inputs import images, prefix
from tljax.machine import devices
from tljax.methods import coral, multitask
from tljax.models import build, ops
from tljax.models.build import Network
from tljax.optim import transform
from tljax.sweep import members, run
from tljax.sweep import program as sweep_program
from tljax.tasks.classification import CLASSIFICATION
from tljax.tasks.language import Language
from tljax.tasks.segmentation import SEGMENTATION
from tljax.train import evaluate, logits, program, setup, step
from tljax.train.second_batch import Beside
from tljax.train.segments import make_program, segment_steps, shapes
from tljax.train.source import Source
from tljax.tree import flatten

BACKENDS = {"cuda": "gpu", "rocm": "gpu", "tpu": "tpu"}
OPTIONS = {"vgg16": {"width": 0.0625}, "cnn": {"padding": "SAME"}}  # small


def pretend(monkeypatch, platform):
    """Trace as on this platform from here on."""
    monkeypatch.setattr(jax, "default_backend", lambda: BACKENDS[platform])
    monkeypatch.setattr(ops, "compiler_options", lambda: None)


def sets(size, *, labels=None, task=CLASSIFICATION):
    """16 black photographs to train on and 8 held out, with classes in turn or other labels."""

    def split(count):
        images = np.zeros((count, size, size, 3), np.uint8)
        own = np.arange(count, dtype=np.int32) % 2 if labels is None else labels[:count]
        return ImageSet(images, own, tuple(map(str, range(count))), task)

    return ImageSets("test", ("cat", "dog"), split(16), split(8), "0" * 64)


def segment(stage, ready):
    """A whole segment: draws, augmentation, steps and the optimizer."""
    first, train_step, _ = program.pieces(stage, ready)
    sizes = [stage.batch_size, *([ready.second.batch_size] if ready.second else [])]
    over = devices.mesh_for(int(np.gcd.reduce(sizes)))
    length = segment_steps(stage.steps_per_epoch(len(ready.inputs.train)))
    state = jax.eval_shape(first, ready.variables)
    arguments = shapes(stage, ready.inputs.train, length, over=over)
    if ready.second:
        pool, root, batches, hyper = arguments
        other = shapes(stage, ready.second.inputs.train, length, over=over)
        arguments = (pool, other[0]), root, {**batches, "beside": other[2]}, hyper
    return make_program(train_step, ready, over).trace(state, *arguments)


def text(traced, platform):
    """Lower a traced program for a platform; checks what every program is to have."""
    found = traced.lower(lowering_platforms=(platform,)).as_text()
    assert "stablehlo.dot_general" in found or "stablehlo.convolution" in found
    assert "select_and_scatter" not in found  # the slow gradient of a maximum over windows
    assert "f64>" not in found  # which TPUs lack
    return found


SMALL = sets(32)
STAGE = Stage("whole", TRAIN_ALL, lr=1e-3, epochs=1, batch_size=8, augment=Augment())
BFLOAT16 = jnp.dtype("bfloat16")


def on(base, *, stage=STAGE, over=SMALL, **network):
    network = Network(base, options=OPTIONS.get(base, {}), hidden=8, **network)
    return stage, setup.outline(stage, network, Source(over, dtype=BFLOAT16))


def evaluated():
    """Masked sums over held-out images, and their logits."""
    stage, ready = on("vgg16")
    first, _, apply = program.pieces(stage, ready)
    state = jax.eval_shape(first, ready.variables)
    rows = {"row": np.int32, "label": np.int32, "mask": np.float32}
    batches = {name: jax.ShapeDtypeStruct((2, 4), dtype) for name, dtype in rows.items()}
    pool = jax.ShapeDtypeStruct(SMALL.validation.images.shape, np.uint8)
    whole = evaluate._program(step.make_eval_step(apply=apply), ready.inputs.plain)
    yield jax.jit(whole).trace(state, pool, batches)
    kept = logits._program(ready.module, ready.inputs)
    yield jax.jit(kept).trace(state, pool, {name: batches[name] for name in ("row", "label")})


def frozen_base():
    """The prefix of a stage with saved activations, its images augmented, to its last layer."""
    stage = replace(STAGE, rules=rules_of("finetune"), views=2)
    module = build.classifier(Network(options=OPTIONS["vgg16"]), classes=2, dtype=BFLOAT16)
    tree = jax.eval_shape(module.init, jax.random.key(0), SMALL.spec)
    base, architecture = build.base_variables(tree), Network().architecture
    made = prefix.Prefix(
        architecture, module.base, base, "block4_pool", SMALL.preprocess, stage.augment, views=2
    )
    run_to = made.program(augment=stage.augment, start=None, stop="block4_pool")
    numbers = jax.ShapeDtypeStruct((8,), np.int32)
    pool = jax.ShapeDtypeStruct((8, 32, 32, 3), np.uint8)
    yield jax.jit(run_to).trace(base, pool, numbers, numbers)


def sweep(monkeypatch):
    """Two members with a rate each, convolutions included, side by side."""
    stage, ready = on("cnn", stage=replace(STAGE, keep_going=True))
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), ready.variables)
    ready = replace(ready, variables=zeros)
    monkeypatch.setattr(
        sweep_program, "one_by_one", lambda one, axes: jax.vmap(one, in_axes=(0, axes))
    )
    pair = [members.Member(seed, {"lr": rate}, ready) for seed, rate in ((0, 1e-3), (1, 1e-2))]
    calls = run._Ready(stage, pair, over=devices.mesh(jax.devices()[:1])).calls
    yield calls._program.trace(*calls._arguments([0, 1]))


def with_second(other, loss, *, module=None):
    stage, ready = on("vgg16")
    if module is not None:
        tree = jax.eval_shape(module.init, jax.random.key(0), SMALL.spec)
        ready = replace(ready, module=module, variables=tree)
    read = images.from_images(other, augment=stage.augment, preprocess=ready.preprocess)
    yield segment(stage, replace(ready, second=Beside(read, stage.batch_size, loss)))


def two_tasks():
    network = Network(options=OPTIONS["vgg16"], hidden=8)
    module = build.two_headed(network, classes=2, others=2, dtype=BFLOAT16)
    yield from with_second(SMALL, multitask.weighted(own_weight=1.0, weight=0.5), module=module)


def two_domains():
    yield from with_second(SMALL, coral.aligned(weight=1.0))


def masks():
    """Segmentation: a dense head, labels that are warped with their photographs."""
    striped = np.zeros((16, 64, 64), np.uint8) + np.uint8([0, 1] * 32)
    over = sets(64, labels=striped, task=SEGMENTATION)
    yield segment(*on("resnet18", over=over))


def texts(task=None, *, width=16):
    """Texts of 16 tokens in two classes; with a task, windows of running text."""
    tokens = np.ones((16, width), np.int32)
    labels = np.arange(16, dtype=np.int32) % 2 if task is None else tokens
    part = TextSet(tokens, labels, tuple(map(str, range(16))))
    given = {} if task is None else {"plain_task": task}
    classes = ("cat", "dog") if task is None else ("next token",)
    return TextSets("test", classes, part, part, "0" * 64, Vocabulary("{}"), 16, "texts", **given)


def another(base):
    """A step of every layer of another base."""
    yield segment(*on(base, over=sets(64)))


def encoder(base):
    yield segment(*on(base, stage=replace(STAGE, augment=TokenDropout()), over=texts()))


def language():
    over = texts(Language(vocabulary=300), width=32)
    held = TextSet(np.ones((16, 16), np.int32), np.ones((16, 16), np.int32), over.train.ids)
    over = replace(over, validation=held)
    stage = replace(pretraining.LANGUAGE, batch_size=8, augment=Offsets(16))
    network = Network("causal", options={"width": 64}, hidden=0)
    yield segment(stage, setup.outline(stage, network, Source(over, dtype=BFLOAT16)))


def mapped(*, by_pmap):
    """A step over eight devices: sharded by `jit`, or `pmap`."""
    stage, ready = on("cnn")
    variables = ready.variables
    made = {
        "apply": ready.module.apply,
        "tx": transform.make(stage.optimizer, stage.rules, flatten(variables["params"])),
        "rules": stage.rules,
    }
    state = jax.eval_shape(
        lambda tree: step.first_state(tree, tx=made["tx"], rules=stage.rules), variables
    )
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 8))
    batch = {
        "image": jax.ShapeDtypeStruct((8, 32, 32, 3), np.float32),
        "label": jax.ShapeDtypeStruct((8,), np.int32),
        "key": keys,
    }
    hyper = {name: jax.ShapeDtypeStruct((), np.float32) for name in ("lr", "dropout")}
    if not by_pmap:
        over = devices.mesh()
        yield devices.jit_step(step.make_train_step(**made), over).trace(state, batch, hyper)
        return
    call = devices.pmap_step(step.make_train_step(**made, axis_name=devices.AXIS))
    yield jax.jit(call).trace(state, batch, hyper)
