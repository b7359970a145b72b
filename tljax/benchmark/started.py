"""A stage of the benchmark on the first device, and the time of its steps and of its logits."""

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
from tljax.data import ImageSet, ImageSets
from tljax.data.preprocess import UNIT
from tljax.inputs import images as inputs
from tljax.inputs.feed import Examples
from tljax.inputs.images import Inputs
from tljax.machine import devices
from tljax.machine.flops import flops as counted
from tljax.models import build, ops, vgg
from tljax.models.build import Network
from tljax.train import program, segments
from tljax.train.ready import Ready
from tljax.train.step import Apply, State, TrainStep

_LAST_CACHED = "block4_pool"


@dataclass
class Started:
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


def prepare(
    stage: Stage,
    settings: Settings,
    *,
    batch: int,
    count: int = 0,
    cached: bool = False,
    network: Network | None = None,
) -> Started:
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
    read = photographs(stage, settings, count=count or batch)
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
    return Started(stage, ready, *program.start(stage, ready, over), over)


def photographs(stage: Stage, settings: Settings, *, count: int) -> Inputs:
    """Read random photographs as the stage reads its own."""
    images, labels = bench_photos.images(count, settings.size)
    split = ImageSet(images, labels, tuple(map(str, range(count))))
    sets = ImageSets("noise", ("cat", "dog"), split, split, digest="")
    return inputs.from_images(sets, augment=stage.augment, preprocess=UNIT)


def step(started: Started, settings: Settings) -> Contender:
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


def _batches(started: Started, steps: int) -> dict[str, Array]:
    """Prepare batches `[steps, batch, ...]`, all different, so that no work is shared."""
    read, count = started.inputs, started.stage.batch_size
    images = read.plain(jnp.asarray(read.train.inputs))
    turned = [jnp.roll(images, i, axis=1) for i in range(steps)]
    labels = jnp.asarray(read.train.labels)
    return {"image": jnp.stack(turned), "label": jnp.broadcast_to(labels, (steps, count))}


def logits(started: Started, settings: Settings) -> Contender:
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
