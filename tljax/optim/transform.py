"""Rules and an update rule -> one optax transformation over the trainable leaves."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jax
import optax

from tljax.errors import InputError
from tljax.optim import rules as rules_lib


@dataclass(frozen=True)
class Optimizer:
    """An update rule. `name` is rmsprop, adam or sgd; the rate comes from the stage."""

    name: str = "rmsprop"
    decay: float = 0.9  # rho of RMSprop; b2 of Adam is 0.999 as everywhere
    eps: float = 1e-7  # Keras's; optax has 1e-8
    eps_in_sqrt: bool = True  # Keras 3; Keras 2 adds epsilon outside the root
    momentum: float = 0.9  # SGD (with Nesterov) only
    weight_decay: float = 0.0  # decoupled, on kernels only, times the rate
    clip_norm: float | None = None  # global norm over the leaves of one rule


def make(optimizer: Optimizer, rules: rules_lib.Rules, paths: Iterable[str]) -> optax.GradientTransformationExtraArgs:
    """`optax.multi_transform` with one chain for each rule that trains.

    `paths` are those of all parameters. The transformation works on flat trees (slash path -> leaf) of the trainable
    ones alone, so clipping, decay and state never meet a frozen leaf. `update(grads, state, params, lr=rate)` takes the
    stage's rate of this step, a traced scalar.
    """
    rates = rules_lib.multipliers(rules)
    decided = {path: label for path, label in rules_lib.labels(paths, rules).items() if label in rates}
    chains: dict[Any, Any] = {label: _chain(optimizer, rates[label]) for label in set(decided.values())}
    return optax.with_extra_args_support(optax.multi_transform(chains, decided))


def scale_by_rate(multiplier: float) -> optax.GradientTransformationExtraArgs:
    """Descend: update times `-lr * multiplier`, with `lr` given at each update."""

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        del params
        lr = extra["lr"]
        return jax.tree.map(lambda u: (-lr * multiplier).astype(u.dtype) * u, updates), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def _chain(optimizer: Optimizer, multiplier: float) -> optax.GradientTransformationExtraArgs:
    parts = [_core(optimizer)]
    if optimizer.clip_norm is not None:
        parts.insert(0, optax.clip_by_global_norm(optimizer.clip_norm))
    if optimizer.weight_decay:
        parts.append(optax.add_decayed_weights(optimizer.weight_decay, mask=_kernels))
    return optax.chain(*parts, scale_by_rate(multiplier))


def _core(optimizer: Optimizer) -> optax.GradientTransformation:
    """The update rule without its rate, with Keras's constants (source: measured against Keras 3 in the tests)."""
    if optimizer.name == "rmsprop":
        return optax.scale_by_rms(optimizer.decay, optimizer.eps, eps_in_sqrt=optimizer.eps_in_sqrt)
    if optimizer.name == "adam":
        return optax.scale_by_adam(eps=optimizer.eps)
    if optimizer.name == "sgd":
        return optax.trace(optimizer.momentum, nesterov=True) if optimizer.momentum else optax.identity()
    raise InputError(f"unknown optimizer {optimizer.name!r}; rmsprop, adam or sgd")


def _kernels(params: Any) -> Any:
    return {path: path.endswith("kernel") and not isinstance(leaf, optax.MaskedNode) for path, leaf in params.items()}
