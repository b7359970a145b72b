"""tljax's own contenders: the steps of the rungs, set up as in the loop, and work around them."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tljax import config
from tljax.benchmark import many_seeds
from tljax.benchmark import photos as bench_photos
from tljax.benchmark.rows import Settings
from tljax.benchmark.started import Started, logits, photographs, prepare, step
from tljax.benchmark.timing import Contender
from tljax.data import photos
from tljax.data.draws import augment_keys
from tljax.models import ops
from tljax.models.build import Network
from tljax.train import segments
from tljax.train.evaluate import make_evaluate

_STAGES = config.PRESETS["deck-keras3"]
_LITE0 = Network("efficientnet-lite0", hidden=0)


def _scratch_step(settings: Settings) -> Contender:
    return step(prepare(_STAGES["scratch"], settings, batch=settings.batch), settings)


def _small_scratch_step(settings: Settings) -> Contender:
    settings = replace(settings, calls_steps=settings.small_steps)
    return step(prepare(_STAGES["scratch"], settings, batch=settings.small_batch), settings)


def _full_step(settings: Settings) -> Contender:
    everything = replace(_STAGES["finetune"], rules=config.TRAIN_ALL)
    return step(prepare(everything, settings, batch=settings.vgg_batch), settings)


def _block5_step(settings: Settings) -> Contender:
    return step(prepare(_STAGES["finetune"], settings, batch=settings.vgg_batch), settings)


def _cached_block5_step(settings: Settings) -> Contender:
    return step(
        prepare(_STAGES["finetune"], settings, batch=settings.vgg_batch, cached=True), settings
    )


def _frozen_step(settings: Settings) -> Contender:
    return step(prepare(_STAGES["frozen"], settings, batch=settings.vgg_batch), settings)


def _lite0_step(settings: Settings) -> Contender:
    return step(_lite0(settings), settings)


def _lite0_forward(settings: Settings) -> Contender:
    return logits(_lite0(settings), settings)


def _lite0(settings: Settings) -> Started:
    """Prepare a step of EfficientNet-Lite0 with one layer on its pooled features."""
    everything = replace(_STAGES["finetune"], rules=config.TRAIN_ALL)
    settings = replace(settings, size=settings.lite0_size)
    return prepare(everything, settings, batch=settings.vgg_batch, network=_LITE0)


def _forward(settings: Settings) -> Contender:
    return logits(prepare(_STAGES["frozen"], settings, batch=settings.vgg_batch), settings)


def _scratch_forward(settings: Settings) -> Contender:
    return logits(prepare(_STAGES["scratch"], settings, batch=settings.batch), settings)


def _augmentation(settings: Settings) -> Contender:
    """Time augmentation from uint8 images on the device, keys included."""
    read = photographs(_STAGES["scratch"], settings, count=settings.batch)
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
    ready = prepare(_STAGES["scratch"], settings, batch=batch, count=steps * batch)
    jitted = segments.make_program(ready.train_step, ready.ready, ready.over)

    def call() -> None:
        for part in segments.segments(ready.stage, ready.ready, seed=0, over=ready.over):
            ready.state, metrics = jitted(ready.state, *part.arguments)
            jax.tree.map(np.asarray, metrics)

    return Contender(call, {"images": steps * batch})


def _evaluation(settings: Settings) -> Contender:
    ready = prepare(_STAGES["scratch"], settings, batch=settings.batch, count=settings.evaluated)
    evaluate = make_evaluate(
        apply=ready.apply,
        prepare=ready.inputs.plain,
        examples=ready.inputs.validation,
        batch_size=settings.batch,
        over=ready.over,
    )
    return Contender(lambda: evaluate(ready.state), {"images": settings.evaluated})


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
    "small scratch step": _small_scratch_step,
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
    "seeds together": lambda settings: many_seeds.together(*many_seeds.heads(settings)),
    "seeds in turn": lambda settings: many_seeds.in_turn(*many_seeds.heads(settings)),
    "scratch seeds together": lambda settings: many_seeds.together(*many_seeds.networks(settings)),
    "scratch seeds in turn": lambda settings: many_seeds.in_turn(*many_seeds.networks(settings)),
    "decode": _decode,
}
