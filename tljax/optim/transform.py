"""Rules and an update rule -> one optax transformation over the trainable leaves."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jax
import optax

from tljax.errors import InputError
from tljax.optim import rules as rules_lib
from tljax.optim.schedules import Schedule


@dataclass(frozen=True)
class Optimizer:
    """An update rule. `name` is rmsprop, adam or sgd; the rate comes from the stage.

    With `trust_ratio` the rate is the part of its own norm by which a leaf moves in a step, so that one rate suits
    networks of any width and any scale of weights (You et al. 2017, arXiv 1708.03888, and 2019, arXiv 1904.00962). A
    leaf of zeros, such as a fresh bias, moves by the rate times the norm of the rule's own step.
    """

    name: str = "rmsprop"
    decay: float = 0.9  # rho of RMSprop; b2 of Adam is 0.999 as everywhere
    eps: float = 1e-7  # Keras's; optax has 1e-8
    eps_in_sqrt: bool = True  # Keras 3; Keras 2 adds epsilon outside the root
    momentum: float | Schedule = 0.9  # of SGD, with Nesterov; b1 of Adam
    weight_decay: float | Schedule = 0.0  # decoupled, on kernels only, times the rate
    clip_norm: float | None = None  # global norm over the leaves of one rule
    trust_ratio: bool = False  # each leaf's step is the rate times its own norm: LARS, and LAMB with adam

    def __post_init__(self) -> None:
        if self.name not in ("rmsprop", "adam", "sgd"):
            raise InputError(f"unknown optimizer {self.name!r}; rmsprop, adam or sgd")
        if self.name == "rmsprop" and isinstance(self.momentum, Schedule):
            raise InputError("rmsprop has no momentum to schedule; take adam or sgd")


def make(optimizer: Optimizer, rules: rules_lib.Rules, paths: Iterable[str]) -> optax.GradientTransformationExtraArgs:
    """`optax.multi_transform` with one chain for each rule that trains.

    `paths` are those of all parameters. The transformation works on flat trees (slash path -> leaf) of the trainable
    ones alone, so clipping, decay and state never meet a frozen leaf. `update(grads, state, params, lr=rate)` takes the
    stage's rate of this step, a traced scalar; `momentum` and `weight_decay` too where they are schedules.
    """
    rates = rules_lib.multipliers(rules)
    decided = {path: label for path, label in rules_lib.labels(paths, rules).items() if label in rates}
    chains: dict[Any, Any] = {label: _chain(optimizer, rates[label]) for label in set(decided.values())}
    return optax.with_extra_args_support(optax.multi_transform(chains, decided))


def carry(old: Any, new: Any) -> Any:
    """The state `new`, with what `old` has on the same leaves: for a stage that goes on with what already trained.

    Both are states of `make` with the same kind of optimizer. Leaves may have changed from one rule to another.
    """
    kept = {_within_rule(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(old)}
    return jax.tree_util.tree_map_with_path(lambda path, leaf: kept.get(_within_rule(path), leaf), new)


def _within_rule(path: Any) -> tuple[Any, ...]:
    """A place in the state without the label of its rule, the second key of optax's partition."""
    return (path[0], *path[2:])


def scale_by_rate(multiplier: float) -> optax.GradientTransformationExtraArgs:
    """Descend: update times `-lr * multiplier`, with `lr` given at each update."""

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        del params
        lr = extra["lr"]
        return jax.tree.map(lambda u: (-lr * multiplier).astype(u.dtype) * u, updates), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def _chain(optimizer: Optimizer, multiplier: float) -> optax.GradientTransformationExtraArgs:
    parts: list[optax.GradientTransformation] = [_core(optimizer)]
    if optimizer.clip_norm is not None:
        parts.insert(0, optax.clip_by_global_norm(optimizer.clip_norm))
    if optimizer.weight_decay:
        parts.append(_decay(optimizer))
    if optimizer.trust_ratio:
        parts.append(optax.scale_by_trust_ratio())
    return optax.chain(*parts, scale_by_rate(multiplier))


def _core(optimizer: Optimizer) -> optax.GradientTransformationExtraArgs:
    """The update rule without its rate, leaf by leaf: its state, counters included, is found by a leaf's path."""

    def init(params: Any) -> Any:
        return {path: _rule(optimizer, 0.0).init(leaf) for path, leaf in params.items() if not _masked(leaf)}

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        del params
        rule = _rule(optimizer, extra.get("momentum", optimizer.momentum))
        done = {path: rule.update(updates[path], state[path]) for path in state}
        return {p: done[p][0] if p in done else u for p, u in updates.items()}, {p: s for p, (_, s) in done.items()}

    return optax.GradientTransformationExtraArgs(init, update)


def _rule(optimizer: Optimizer, momentum: Any) -> optax.GradientTransformation:
    """With Keras's constants (source: measured against Keras 3 in the tests); `momentum` may be traced."""
    if optimizer.name == "rmsprop":
        return optax.scale_by_rms(optimizer.decay, optimizer.eps, eps_in_sqrt=optimizer.eps_in_sqrt)
    if optimizer.name == "adam":
        return optax.scale_by_adam(b1=momentum, eps=optimizer.eps)
    return optax.trace(momentum, nesterov=True) if optimizer.momentum else optax.identity()


def _decay(optimizer: Optimizer) -> optax.GradientTransformationExtraArgs:
    """Add the kernels, times the decay of this step, to what will be descended."""

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        decay = extra.get("weight_decay", optimizer.weight_decay)
        return {
            p: u + decay * params[p] if p.endswith("kernel") and not _masked(u) else u for p, u in updates.items()
        }, state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def _masked(leaf: Any) -> bool:
    """Whether it belongs to another rule."""
    return isinstance(leaf, optax.MaskedNode)
