"""tljax's own contenders: the steps of the rungs, set up as in the loop, and work around them."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

from tljax import config
from tljax.benchmark import photos as bench_photos
from tljax.benchmark.rows import Settings
from tljax.benchmark.timing import Contender
from tljax.config import Stage
from tljax.data import ImageSet, ImageSets, photos
from tljax.data.draws import augment_keys
from tljax.data.preprocess import UNIT
from tljax.inputs import images as inputs
from tljax.inputs.feed import Examples
from tljax.inputs.images import Inputs
from tljax.machine import devices
from tljax.machine.flops import flops as counted
from tljax.models import build, ops, vgg
from tljax.models.architecture import images_of
from tljax.models.build import Network
from tljax.sweep import heads_of_seeds, sweep
from tljax.train import loop, program, segments
from tljax.train.evaluate import make_evaluate
from tljax.train.ready import Ready
from tljax.train.step import Apply, State, TrainStep

_STAGES = config.PRESETS["deck-keras3"]
_LAST_CACHED = "block4_pool"
_LITE0 = Network("efficientnet-lite0", hidden=0)


@dataclass
class _Started:
    """A stage on the first device, before its first step."""

    stage: Stage
    ready: Ready
    state: State
    train_step: TrainStep
    apply: Apply
    over: Mesh

    @property
    def inputs(self) -> Inputs:
        """Return what it reads."""
        return self.ready.inputs


def _ready(
    stage: Stage,
    settings: Settings,
    *,
    batch: int,
    count: int = 0,
    cached: bool = False,
    network: Network | None = None,
) -> _Started:
    """Prepare a stage with `count` images to read, by default one batch.

    The network is the stage's own on VGG16 by default. `cached` images are the activations of the
    frozen prefix.
    """
    stage = replace(
        stage, batch_size=batch, epochs=1, images_per_epoch=settings.epoch_steps * batch
    )
    network = network or config.NETWORKS[stage.name].on("vgg16", {"width": settings.width})
    module = build.classifier(network, classes=2, dtype=jnp.dtype(settings.dtype))
    variables = build.init(module, key=jax.random.key(0), size=settings.size)
    read = _read(stage, settings, count=count or batch)
    if cached:
        prefix = ops.jit(
            lambda params, x: module.base.apply(
                {"params": params}, read.plain(x), stop=_LAST_CACHED
            )[0]
        )
        activations = prefix(variables["params"]["base"], read.train.inputs)
        examples = Examples(np.asarray(activations.astype(jnp.float32)), read.train.labels)
        read = replace(
            read,
            train=examples,
            validation=examples,
            plain=lambda x: x,
            start=vgg.ARCHITECTURE.following(_LAST_CACHED),
        )
    over = devices.mesh(jax.devices()[:1])
    ready = Ready(module, variables, read, network)
    return _Started(stage, ready, *program.start(stage, ready, over), over)


def _read(stage: Stage, settings: Settings, *, count: int) -> Inputs:
    images, labels = bench_photos.images(count, settings.size)
    split = ImageSet(images, labels, tuple(map(str, range(count))))
    sets = ImageSets("noise", ("cat", "dog"), split, split, digest="")
    return inputs.from_images(sets, augment=stage.augment, preprocess=UNIT)


def _step(started: _Started, settings: Settings) -> Contender:
    """Time optimizer steps on prepared batches that are already on the device.

    They are in one program, as in the loop: XLA on CPU clears the memory of a program at each call.
    """
    count, steps = started.stage.batch_size, settings.calls_steps
    keys = jax.random.split(jax.random.key(0), (steps, count))
    batches = {**_batches(started, steps), "key": keys}
    functions = segments.hyperparameters(started.stage, steps=steps)
    hyper = {
        name: np.array([value(i) for i in range(steps)], np.float32)
        for name, value in functions.items()
    }
    batches = devices.put(batches, devices.split_batch(started.over, axis=1))
    hyper = devices.put(hyper, devices.replicated(started.over))

    def several(state: State, batches: Any, hyper: Any) -> tuple[State, Any]:
        return jax.lax.scan(
            lambda state, xs: started.train_step(state, *xs), state, (batches, hyper)
        )

    program = ops.jit(several, donate_argnums=0)
    flops = counted(program.trace(started.state, batches, hyper))

    def call() -> None:
        started.state, metrics = program(started.state, batches, hyper)
        jax.block_until_ready((started.state, metrics))

    return Contender(call, {"images": steps * count, "flops": flops})


def _batches(started: _Started, steps: int) -> dict[str, Array]:
    """Prepare batches `[steps, batch, ...]`, all different, so that no work is shared."""
    read, count = started.inputs, started.stage.batch_size
    images = read.plain(jnp.asarray(read.train.inputs))
    turned = [jnp.roll(images, i, axis=1) for i in range(steps)]
    labels = jnp.asarray(read.train.labels)
    return {"image": jnp.stack(turned), "label": jnp.broadcast_to(labels, (steps, count))}


def _scratch_step(settings: Settings) -> Contender:
    return _step(_ready(_STAGES["scratch"], settings, batch=settings.batch), settings)


def _full_step(settings: Settings) -> Contender:
    everything = replace(_STAGES["finetune"], rules=config.TRAIN_ALL)
    return _step(_ready(everything, settings, batch=settings.vgg_batch), settings)


def _block5_step(settings: Settings) -> Contender:
    return _step(_ready(_STAGES["finetune"], settings, batch=settings.vgg_batch), settings)


def _cached_block5_step(settings: Settings) -> Contender:
    return _step(
        _ready(_STAGES["finetune"], settings, batch=settings.vgg_batch, cached=True), settings
    )


def _frozen_step(settings: Settings) -> Contender:
    return _step(_ready(_STAGES["frozen"], settings, batch=settings.vgg_batch), settings)


def _lite0_step(settings: Settings) -> Contender:
    return _step(_lite0(settings), settings)


def _lite0_forward(settings: Settings) -> Contender:
    return _logits(_lite0(settings), settings)


def _lite0(settings: Settings) -> _Started:
    """Prepare a step of EfficientNet-Lite0 with one layer on its pooled features."""
    everything = replace(_STAGES["finetune"], rules=config.TRAIN_ALL)
    settings = replace(settings, size=settings.lite0_size)
    return _ready(everything, settings, batch=settings.vgg_batch, network=_LITE0)


def _logits(started: _Started, settings: Settings) -> Contender:
    """Time the logits of batches, in one program as in an evaluation."""
    images = _batches(started, settings.calls_steps)["image"]
    variables = {"params": started.state.params, **started.state.model_state}
    forward = ops.jit(
        lambda variables, batches: jax.lax.map(
            lambda x: started.apply(variables, x, train=False)[0], batches
        )
    )
    flops = counted(forward.trace(variables, images))

    def call() -> None:
        forward(variables, images).block_until_ready()

    return Contender(call, {"images": images.shape[0] * images.shape[1], "flops": flops})


def _forward(settings: Settings) -> Contender:
    return _logits(_ready(_STAGES["frozen"], settings, batch=settings.vgg_batch), settings)


def _scratch_forward(settings: Settings) -> Contender:
    return _logits(_ready(_STAGES["scratch"], settings, batch=settings.batch), settings)


def _augmentation(settings: Settings) -> Contender:
    """Time augmentation from uint8 images on the device, keys included."""
    read = _read(_STAGES["scratch"], settings, count=settings.batch)
    images, numbers = jnp.asarray(read.train.inputs), jnp.arange(settings.batch)

    @ops.jit
    def augmented(passes: Any, images: Any) -> Any:
        return read.augmented(images, augment_keys(passes, numbers))

    def call() -> None:
        augmented(0 * numbers, images).block_until_ready()

    return Contender(
        call, {"images": settings.batch, "bytes": 5.0 * images.nbytes}
    )  # uint8 read, float32 written


def _epoch(settings: Settings) -> Contender:
    """Time an epoch as the loop runs it.

    Draws, copies, compiled segments of steps, and fetching the metrics.
    """
    batch, steps = settings.batch, settings.epoch_steps
    ready = _ready(_STAGES["scratch"], settings, batch=batch, count=steps * batch)
    jitted = segments.make_program(ready.train_step, ready.ready, ready.over)

    def call() -> None:
        for part in segments.segments(ready.stage, ready.ready, seed=0, over=ready.over):
            ready.state, metrics = jitted(ready.state, *part.arguments)
            jax.tree.map(np.asarray, metrics)

    return Contender(call, {"images": steps * batch})


def _evaluation(settings: Settings) -> Contender:
    ready = _ready(_STAGES["scratch"], settings, batch=settings.batch, count=settings.evaluated)
    evaluate = make_evaluate(
        apply=ready.apply,
        prepare=ready.inputs.plain,
        examples=ready.inputs.validation,
        batch_size=settings.batch,
        over=ready.over,
    )
    return Contender(lambda: evaluate(ready.state), {"images": settings.evaluated})


def _seeds(settings: Settings) -> tuple[Stage, dict[int, Ready]]:
    """Prepare rung 2 on random features, with everything each seed needs before its first step."""
    stage = replace(_STAGES["features"], epochs=settings.seeds_epochs, keep_going=True)
    network = config.NETWORKS["features"].on("vgg16", {"width": settings.seeds_width})
    module = build.classifier(network, classes=2)
    rng = np.random.default_rng(0)
    variables = jax.device_get(build.init(module, key=jax.random.key(0), size=settings.seeds_size))
    shape = jax.eval_shape(
        lambda x: module.base.apply({"params": variables["params"]["base"]}, x)[0],
        jax.ShapeDtypeStruct((1, settings.seeds_size, settings.seeds_size, 3), jnp.float32),
    ).shape

    def examples(count: int) -> Examples:
        return Examples(
            rng.random((count, *shape[1:]), np.float32), rng.integers(0, 2, count, np.int32)
        )

    train, held = examples(settings.photographs_seen), examples(settings.evaluated)
    read = Inputs(train, held, lambda x, keys, strength: x, lambda x: x, start="head")
    ready = Ready(module, variables, read, network)
    like, seeds = images_of(settings.seeds_size), range(settings.seeds)
    start = heads_of_seeds.starts(ready, seeds=seeds, like=like)
    return stage, {seed: start(seed) for seed in range(settings.seeds)}


def _scratch_seeds(settings: Settings) -> tuple[Stage, dict[int, Ready]]:
    """Prepare a few epochs of the network from scratch, each seed with kernels of its own."""
    batch, epochs = settings.batch, settings.seeds_epochs
    started = _ready(_STAGES["scratch"], settings, batch=batch, count=settings.epoch_steps * batch)
    stage = replace(started.stage, epochs=epochs, keep_going=True)
    like, seeds = images_of(settings.size), range(settings.scratch_seeds)
    start = heads_of_seeds.starts(started.ready, seeds=seeds, like=like)
    return stage, {seed: start(seed) for seed in seeds}


def _together(stage: Stage, readies: dict[int, Ready]) -> Contender:
    """Time all seeds in one program, compiling included."""

    def call() -> None:
        with redirect_stdout(sys.stderr):  # random labels teach nothing, and each seed says so
            sweep.train_seeds(stage, readies)

    return Contender(call, {"images": _drawn(stage, readies)})


def _in_turn(stage: Stage, readies: dict[int, Ready]) -> Contender:
    """Time one seed after another with one program for all, as the ladder runs them."""

    def call() -> None:
        compiled = program.ahead({"": (stage, readies[0])})[""]
        for seed, ready in readies.items():
            with redirect_stdout(sys.stderr):
                loop.train_stage(stage, ready, seed=seed, program=compiled, progress=False)

    return Contender(call, {"images": _drawn(stage, readies)})


def _drawn(stage: Stage, readies: dict[int, Ready]) -> int:
    steps = stage.epochs * stage.steps_per_epoch(len(readies[0].inputs.train))
    return len(readies) * steps * stage.batch_size


def _decode(settings: Settings) -> Contender:
    """Time decoding on one thread per core, as photographs are read into the cache."""
    encoded = bench_photos.jpegs(settings.photographs)

    def call() -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(
                pool.map(
                    lambda data: photos.decode(data, size=settings.size, name="photograph"), encoded
                )
            )

    return Contender(call, {"images": len(encoded)})


MAKERS: dict[str, Callable[[Settings], Contender]] = {
    "scratch step": _scratch_step,
    "scratch forward": _scratch_forward,
    "full step": _full_step,
    "block5 step": _block5_step,
    "cached block5 step": _cached_block5_step,
    "frozen step": _frozen_step,
    "forward": _forward,
    "Lite0 step": _lite0_step,
    "Lite0 forward": _lite0_forward,
    "augmentation": _augmentation,
    "epoch": _epoch,
    "evaluation": _evaluation,
    "seeds together": lambda settings: _together(*_seeds(settings)),
    "seeds in turn": lambda settings: _in_turn(*_seeds(settings)),
    "scratch seeds together": lambda settings: _together(*_scratch_seeds(settings)),
    "scratch seeds in turn": lambda settings: _in_turn(*_scratch_seeds(settings)),
    "decode": _decode,
}
