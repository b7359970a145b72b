"""The optax transformation over the trainable leaves, made from rules and an update rule."""

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from tljax.errors import InputError
from tljax.optim import rules as rules_lib
from tljax.optim.schedules import Schedule

ADAMW_DECAY = 1e-2  # torch's default


@dataclass(frozen=True)
class Optimizer:
    """An update rule: rmsprop, adam, adamw or sgd by `name`. The rate comes from the stage.

    "adamw" is another name for adam with a `weight_decay`, of 0.01 where none is given: decay is
    decoupled for every rule (Loshchilov and Hutter 2019, arXiv 1711.05101).

    With `trust_ratio` the rate is the fraction of its own norm by which a leaf moves per step, so
    one rate suits networks of any width and any scale of weights (You et al. 2017, arXiv
    1708.03888, and 2019, arXiv 1904.00962). A leaf of zeros, such as a fresh bias, moves by the
    rate times the norm of the rule's own step.

    `anchor` is weight decay towards the start: each step also takes every trained leaf of the base
    `rate * anchor` of the way back to its pretrained weights, in place of decay towards zero
    (L2-SP: Li, Grandvalet and Davoine 2018, arXiv 1802.01483; decoupled from the gradient and the
    trust ratio). Where no pretrained base is at hand, the way leads back to where the stage began.
    """

    name: str = "rmsprop"
    decay: float = 0.9  # rho of RMSprop; b2 of Adam is always 0.999
    eps: float = 1e-7  # Keras's; optax has 1e-8
    eps_in_sqrt: bool = True  # as in Keras 3; Keras 2 adds epsilon outside the root
    momentum: float | Schedule = 0.9  # of SGD, with Nesterov; b1 of Adam
    weight_decay: float | Schedule = 0.0  # decoupled, on kernels only, times the rate
    clip_norm: float | None = None  # global norm over the leaves of one rule
    trust_ratio: bool = False  # step is the rate times the leaf's norm: LARS; LAMB with adam
    anchor: float = (
        0.0  # decoupled, of the base's trained leaves towards their start, times the rate
    )

    def __post_init__(self) -> None:
        if self.name == "adamw":
            object.__setattr__(self, "name", "adam")
            object.__setattr__(self, "weight_decay", self.weight_decay or ADAMW_DECAY)
        if self.name not in ("rmsprop", "adam", "sgd"):
            raise InputError(f"unknown optimizer {self.name!r}; rmsprop, adam, adamw or sgd")
        if self.name == "rmsprop" and isinstance(self.momentum, Schedule):
            raise InputError("rmsprop has no momentum to schedule; take adam or sgd")
        if not 0 <= self.anchor < math.inf:
            raise InputError(f"Optimizer.anchor: expected 0 or more, found {self.anchor!r}")


def make(
    optimizer: Optimizer,
    rules: rules_lib.Rules,
    paths: Iterable[str],
    *,
    anchor: Mapping[str, Any] | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Make an `optax.multi_transform` with one chain for each rule that trains.

    `paths` are those of all parameters. The transformation works on flat trees (slash path -> leaf)
    of the trainable leaves alone, so clipping, decay and state never see a frozen one.
    `update(grads, state, params, lr=rate)` takes the stage's rate at this step, a traced scalar;
    also `momentum` and `weight_decay` where they are schedules. `anchor` has the leaves, by path,
    that `Optimizer.anchor` pulls to; of others it is those that the state is made of.
    """
    paths = list(paths)
    for kernel in rules_lib.low_rank(paths, rules):
        if f"{rules_lib.FACTORS}{kernel}/up" not in paths:
            raise InputError(
                f"low rank: expected factors of {kernel!r}, which tljax.prepare draws, found none"
            )
    rates, decided = rules_lib.multipliers(rules), rules_lib.trained(paths, rules)
    chains: dict[Hashable, optax.GradientTransformation] = {
        # In the same order in every process: another one is another program for the cache.
        label: _chain(optimizer, rates[label], anchor or {})
        for label in dict.fromkeys(decided.values())
    }
    return optax.with_extra_args_support(optax.multi_transform(chains, decided))


def carry(old: optax.OptState, new: optax.OptState) -> optax.OptState:
    """Carry optimizer state into a new stage: `new`, with the values of `old` on shared leaves.

    Both are states of `make` with the same kind of optimizer. A leaf may have moved from one rule
    to another. Factors of low-rank updates are drawn anew in every stage: theirs is not carried.
    """
    values = {
        _within_rule(path): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(old)
        if rules_lib.FACTORS not in jax.tree_util.keystr(path)
    }
    tree_map = jax.tree_util.tree_map_with_path
    return tree_map(lambda path, leaf: values.get(_within_rule(path), leaf), new)


def _within_rule(path: Any) -> tuple[Any, ...]:
    """Drop the label of the rule, the second key of optax's partition, from a path in the state."""
    return (path[0], *path[2:])


def scale_by_rate(multiplier: float) -> optax.GradientTransformationExtraArgs:
    """Descend: multiply updates by `-lr * multiplier`, with `lr` an argument of each update."""

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        del params
        lr = extra["lr"]
        return jax.tree.map(lambda u: (-lr * multiplier).astype(u.dtype) * u, updates), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def _chain(
    optimizer: Optimizer, multiplier: float, anchor: Mapping[str, Any]
) -> optax.GradientTransformationExtraArgs:
    parts: list[optax.GradientTransformation] = [_core(optimizer)]
    if optimizer.clip_norm is not None:
        parts.insert(0, optax.clip_by_global_norm(optimizer.clip_norm))
    if optimizer.weight_decay:
        parts.append(_decay(optimizer))
    if optimizer.trust_ratio:
        parts.append(optax.scale_by_trust_ratio())
    if optimizer.anchor:
        parts.append(_anchor(optimizer.anchor, anchor))
    return optax.chain(*parts, scale_by_rate(multiplier))


def _core(optimizer: Optimizer) -> optax.GradientTransformationExtraArgs:
    """Make the update rule without its rate, applied to each leaf separately.

    Its state, counters included, is keyed by the leaf's path.
    """

    def init(params: Any) -> Any:
        return {
            path: _rule(optimizer, 0.0).init(leaf)
            for path, leaf in params.items()
            if not _masked(leaf)
        }

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        del params
        rule = _rule(optimizer, extra.get("momentum", optimizer.momentum))
        results = {path: rule.update(updates[path], state[path]) for path in state}
        state = {path: new for path, (_, new) in results.items()}
        return {p: results[p][0] if p in results else u for p, u in updates.items()}, state

    return optax.GradientTransformationExtraArgs(init, update)


def _rule(optimizer: Optimizer, momentum: Any) -> optax.GradientTransformation:
    """Make the rule with Keras's constants (measured against Keras 3 in the tests).

    `momentum` may be traced.
    """
    if optimizer.name == "rmsprop":
        return optax.scale_by_rms(optimizer.decay, optimizer.eps, eps_in_sqrt=optimizer.eps_in_sqrt)
    if optimizer.name == "adam":
        return optax.scale_by_adam(b1=momentum, eps=optimizer.eps)
    return optax.trace(momentum, nesterov=True) if optimizer.momentum else optax.identity()


def _decay(optimizer: Optimizer) -> optax.GradientTransformationExtraArgs:
    """Add the kernels, times the decay of this step, to the updates before they are negated."""

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        decay = extra.get("weight_decay", optimizer.weight_decay)
        return {
            p: u + decay * params[p]
            if p.endswith("kernel") and not held(p) and not _masked(u)
            else u
            for p, u in updates.items()
        }, state

    def held(path: str) -> bool:
        return bool(optimizer.anchor) and _anchored(path)

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def _anchor(strength: float, start: Mapping[str, Any]) -> optax.GradientTransformationExtraArgs:
    """Add the way back to the start to the updates before they are negated.

    Its state is a copy of the start; of leaves that `start` lacks, as they were.
    """

    def init(params: Any) -> Any:
        # A copy: a step donates parameters and state, and one buffer cannot be given twice.
        return {
            p: jnp.array(start.get(p, leaf), leaf.dtype)
            for p, leaf in params.items()
            if _anchored(p) and not _masked(leaf)
        }

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        del extra
        return {
            p: u + strength * (params[p] - state[p]) if p in state else u
            for p, u in updates.items()
        }, state

    return optax.GradientTransformationExtraArgs(init, update)


def _anchored(path: str) -> bool:
    """Test whether a leaf is the base's: a head is fresh, its start is worth nothing."""
    return path.startswith("base/")


def _masked(leaf: Any) -> bool:
    """Test whether the leaf belongs to another rule."""
    return isinstance(leaf, optax.MaskedNode)
