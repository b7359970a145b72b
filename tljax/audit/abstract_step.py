"""A stage's step from shapes alone: what can be known of it before anything is computed."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.stages import Traced

from tljax.config import Stage
from tljax.inputs import views
from tljax.machine import devices
from tljax.models import build
from tljax.models.build import Network
from tljax.models.classifiers import Classifier
from tljax.optim import low_rank, transform
from tljax.train import frozen, step
from tljax.train.segments import Jitted
from tljax.tree import flatten

_HYPER = ("lr", "dropout", "momentum", "weight_decay")


@dataclass(frozen=True)
class Dry:
    """Hold a stage, its module, and the shapes that it works on.

    They are those of `variables`, and of a batch `x` that enters at the layer `start`. Augmentation
    is no part of it, nor is a prefix that has run before.
    """

    stage: Stage
    module: Classifier
    variables: step.Variables
    x: jax.ShapeDtypeStruct
    start: str | None = None

    @property
    def apply(self) -> step.Apply:
        """Return the function that applies the module from the layer where the stage starts."""
        apply = low_rank.through(self.module.apply)
        return partial(apply) if self.start is None else partial(apply, start=self.start)

    def state(self) -> step.State:
        """Return the shapes of the state before the first step."""
        return jax.eval_shape(self._first, self.variables)

    def trace(self, over: Mesh) -> Traced:
        """Trace the step over these devices: `.jaxpr`, and `.lower().compile()`."""
        n = self.x.shape[0]
        keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), n))
        batch = {"image": self.x, "label": jax.ShapeDtypeStruct((n,), jnp.int32), "key": keys}
        hyper = {name: jax.ShapeDtypeStruct((), jnp.float32) for name in _HYPER}
        return self._step(over).trace(self.state(), batch, hyper)

    def keeps_bits(self, over: Mesh) -> bool:
        """Tell whether what the rules freeze has the same bits after a step.

        The step is taken from small random numbers everywhere.
        """
        variables, x = _random((self.variables, self.x))
        state, n = self._first(variables), len(x)
        keys = jax.random.split(jax.random.key(0), n)
        batch = {"image": x, "label": np.arange(n, dtype=np.int32) % 2, "key": keys}
        hyper = {name: np.float32(0.01) for name in _HYPER}
        before = frozen.held(variables, self.stage)
        state, _ = self._step(over)(devices.put(state, devices.replicated(over)), batch, hyper)
        after = frozen.held(frozen.variables(state), self.stage)
        return all(frozen.same_bits(leaf, after[path]) for path, leaf in before.items())

    def _step(self, over: Mesh) -> Jitted:
        # Balanced class weights are counted from the labels, which are not known here; they cost
        # nothing.
        stage = self.stage
        train_step = step.make_train_step(
            apply=self.apply, tx=self._tx(), rules=stage.rules, ema=stage.ema
        )
        return devices.jit_step(train_step, over)

    def _first(self, variables: step.Variables) -> step.State:
        return step.first_state(
            variables, tx=self._tx(), rules=self.stage.rules, ema=self.stage.ema
        )

    def _tx(self) -> Any:
        return transform.make(
            self.stage.optimizer, self.stage.rules, flatten(self.variables["params"])
        )


def planned(stage: Stage, network: Network, *, classes: int, size: int) -> Dry:
    """Make the shapes of a stage on `size` x `size` photographs.

    They begin at the layer where the stage starts: a frozen prefix has run.
    """
    images = jax.ShapeDtypeStruct((stage.batch_size, size, size, 3), jnp.float32)
    variables = jax.eval_shape(
        build.classifier(network, classes=classes).init, jax.random.key(0), images
    )
    still = frozen.still_layers(variables["params"], stage)
    module = build.classifier(network, classes=classes, frozen=still)
    stop = views.prefix_stop(stage, network.architecture, variables["params"])
    base = build.base_variables(variables)
    params = jax.eval_shape(
        lambda tree: low_rank.with_factors(tree, stage.rules, key=jax.random.key(0)),
        variables["params"],
    )
    variables = {**variables, "params": params}
    if stop is None:
        return Dry(stage, module, variables, images)
    x = jax.eval_shape(lambda tree, x: module.base.apply(tree, x, stop=stop)[0], base, images)
    return Dry(stage, module, variables, x, start=network.architecture.following(stop))


def _random(shapes: Any) -> Any:
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: (0.1 * rng.random(leaf.shape, np.float32)).astype(leaf.dtype), shapes
    )
