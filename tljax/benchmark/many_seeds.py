"""Many seeds: the rows that train them together in one program, and in turn."""

import io
from contextlib import redirect_stdout
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from tljax import config
from tljax.benchmark import started
from tljax.benchmark.rows import Settings
from tljax.benchmark.timing import Contender
from tljax.config import Stage
from tljax.inputs.feed import Examples
from tljax.inputs.images import Inputs
from tljax.models import build
from tljax.models.architecture import images_of
from tljax.sweep import heads_of_seeds, sweep
from tljax.train import loop, program
from tljax.train.ready import Ready

_STAGES = config.PRESETS["deck-keras3"]


def heads(settings: Settings) -> tuple[Stage, dict[int, Ready]]:
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


def networks(settings: Settings) -> tuple[Stage, dict[int, Ready]]:
    """Prepare a few epochs of the network from scratch, each seed with kernels of its own."""
    batch, epochs = settings.small_batch, settings.seeds_epochs
    count = settings.epoch_steps * batch
    begun = started.prepare(_STAGES["scratch"], settings, batch=batch, count=count)
    stage = replace(begun.stage, epochs=epochs, keep_going=True)
    like, seeds = images_of(settings.size), range(settings.scratch_seeds)
    start = heads_of_seeds.networks(begun.ready, seeds=seeds, like=like)
    return stage, {seed: start(seed) for seed in seeds}


def together(stage: Stage, readies: dict[int, Ready]) -> Contender:
    """Time all seeds in one program, compiling it or reading it from the cache included."""

    def call() -> None:
        with redirect_stdout(io.StringIO()):  # random labels teach nothing; each seed says so
            sweep.train_seeds(stage, readies)

    return Contender(call, {"images": _drawn(stage, readies)})


def in_turn(stage: Stage, readies: dict[int, Ready]) -> Contender:
    """Time one seed after another with one program for all, as the ladder runs them."""

    def call() -> None:
        compiled = program.ahead({"": (stage, readies[0])})[""]
        for seed, ready in readies.items():
            with redirect_stdout(io.StringIO()):
                loop.train_stage(stage, ready, seed=seed, program=compiled, progress=False)

    return Contender(call, {"images": _drawn(stage, readies)})


def _drawn(stage: Stage, readies: dict[int, Ready]) -> int:
    steps = stage.epochs * stage.steps_per_epoch(len(readies[0].inputs.train))
    return len(readies) * steps * stage.batch_size
