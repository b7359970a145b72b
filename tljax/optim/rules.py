"""Training rules: one ordered list of `(pattern, multiplier or None)` over parameter paths.

`[("head/.*", 1.0), ("base/block5_.*", 0.1), (".*", None)]`: a pattern must match a whole slash
path, the first match wins, a number multiplies the stage's rate, None freezes, and `LowRank(4)`
trains an update of rank 4 of each kernel. A parameter that no rule covers is an error, and so is a
rule that decides nothing, so a typing mistake in a pattern never goes unnoticed.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flax.traverse_util import unflatten_dict

from tljax.errors import InputError
from tljax.tree import Flat, Params, Tree, flatten

FACTORS = "low_rank/"  # before the path of a kernel: its factors, beside `base/` and `head/`


@dataclass(frozen=True)
class LowRank:
    """Train a low-rank update of each kernel of the base that a rule decides, and nothing else.

    LoRA: Hu et al. 2021, arXiv 2106.09685. The kernels stay, and so do biases, scales and batch
    statistics; see `optim.low_rank`. `rate` multiplies the stage's rate.
    """

    rank: int
    rate: float = 1.0


Rules = tuple[tuple[str, float | LowRank | None], ...]


def labels(paths: Iterable[str], rules: Rules) -> dict[str, str]:
    """Map each path to the pattern that decides it; of a kernel's factors that is the kernel's.

    InputError names an uncovered path, or an unused or malformed rule.

    >>> labels(["head/fc1/bias", "base/conv1/bias"], (("head/.*", 1.0), (".*", None)))
    {'head/fc1/bias': 'head/.*', 'base/conv1/bias': '.*'}
    """
    compiled = [(pattern, _compile(pattern)) for pattern, multiplier in _checked(rules)]
    decided: dict[str, str] = {}
    for path in paths:
        matches = [pattern for pattern, regex in compiled if regex.fullmatch(_decider(path))]
        if not matches:
            raise InputError(
                f"no rule covers the parameter {path!r}; rules: {[p for p, _ in rules]}"
            )
        decided[path] = matches[0]
    unused = [pattern for pattern, _ in rules if pattern not in decided.values()]
    if unused:
        raise InputError(
            f"the rule {unused[0]!r} decides no parameter; parameters: {sorted(decided)}"
        )
    return decided


def multipliers(rules: Rules) -> dict[str, float]:
    """Map the pattern of each rule that trains to its multiplier."""
    return {
        pattern: value.rate if isinstance(value, LowRank) else value
        for pattern, value in rules
        if value is not None
    }


def trained(paths: Iterable[str], rules: Rules) -> dict[str, str]:
    """Map each path that trains to the pattern that decides it.

    Of what a `LowRank` decides these are the factors alone.
    """
    values = dict(rules)
    return {
        path: pattern
        for path, pattern in labels(paths, rules).items()
        if values[pattern] is not None
        and isinstance(values[pattern], LowRank) == path.startswith(FACTORS)
    }


def low_rank(paths: Iterable[str], rules: Rules) -> dict[str, LowRank]:
    """Map the path of each kernel that has, or will have, a low-rank update to its rule's value.

    InputError where such a rule decides no kernel, or one of a head, which is fresh.
    """
    values = {pattern: value for pattern, value in rules if isinstance(value, LowRank)}
    if not values:
        return {}
    kernels = {
        path: pattern
        for path, pattern in labels(paths, rules).items()
        if pattern in values and path.endswith("/kernel")
    }
    if without := values.keys() - kernels.values():
        raise InputError(f"the rule {min(without)!r} is of low rank and decides no kernel")
    if others := [path for path in kernels if not path.startswith("base/")]:
        raise InputError(f"low rank: expected kernels of the base, found {others[0]!r}")
    return {path: values[pattern] for path, pattern in kernels.items()}


def moving(paths: Iterable[str], rules: Rules) -> set[str]:
    """Select the paths that train, and those of kernels with a low-rank update."""
    paths = list(paths)
    return trained(paths, rules).keys() | low_rank(paths, rules).keys()


def split(params: Tree, rules: Rules) -> tuple[Flat, Flat]:
    """Split a nested tree into `(trainable, frozen)`, both flat: slash path -> leaf."""
    flat = flatten(params)
    moved = trained(flat, rules)
    trainable = {path: leaf for path, leaf in flat.items() if path in moved}
    return trainable, {path: leaf for path, leaf in flat.items() if path not in trainable}


def merge(trainable: Flat, frozen: Flat) -> Params:
    """Merge two flat trees into one nested tree: the inverse of `split`."""
    return unflatten_dict({**frozen, **trainable}, sep="/")


def frozen_layers(params: Tree, rules: Rules) -> frozenset[str]:
    """Return the slash paths of layers in which nothing moves, nested layers included.

    A path is `base/block1_conv1`.
    """
    flat = flatten(params)
    moved = moving(flat, rules)
    above = {layer for path in moved for layer in _ancestors(path)}
    still = (path for path in flat if path not in moved)
    return frozenset(layer for path in still for layer in _ancestors(path) if layer not in above)


def discriminative(
    groups: Sequence[str | Sequence[str]], *, factor: float, freeze: str | None = None
) -> Rules:
    """Make rules for layer groups from input to output, with rates that shrink towards the input.

    Each group's rate is `factor` times smaller than the next later group's; the last group has
    multiplier 1. A group is one pattern or several. `freeze` is a pattern for what stays frozen.

    >>> discriminative(
    ...     ["base/block4_.*", "base/block5_.*", "head/.*"], factor=2.0, freeze="base/.*"
    ... )
    (('head/.*', 1.0), ('base/block5_.*', 0.5), ('base/block4_.*', 0.25), ('base/.*', None))
    """
    if not factor >= 1:
        raise InputError(f"factor must be 1 or more (earlier layers move less), found {factor}")
    rules: list[tuple[str, float | LowRank | None]] = []
    for distance, group in enumerate(reversed(groups)):
        patterns = [group] if isinstance(group, str) else group
        rules += [(pattern, factor**-distance) for pattern in patterns]
    if freeze:
        rules.append((freeze, None))
    return tuple(rules)


def _decider(path: str) -> str:
    """Return the path that patterns are matched with: of a factor its kernel's."""
    factor = path.startswith(FACTORS)
    return path.removeprefix(FACTORS).rpartition("/")[0] if factor else path


def _ancestors(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:i]) for i in range(1, len(parts))]


def _checked(rules: Rules) -> Rules:
    for pattern, value in rules:
        if isinstance(value, LowRank) and not (type(value.rank) is int and value.rank >= 1):
            raise InputError(f"the rule {pattern!r} has rank {value.rank!r}; 1 or more")
        multiplier = value.rate if isinstance(value, LowRank) else value
        if multiplier is not None and not (
            isinstance(multiplier, int | float) and 0 < multiplier < float("inf")
        ):
            raise InputError(
                f"the rule {pattern!r} has multiplier {multiplier!r}; "
                "a positive number, a LowRank, or None to freeze"
            )
    patterns: set[str] = set()
    for pattern, _ in rules:
        if pattern in patterns:
            raise InputError(f"the rule {pattern!r} is listed twice")
        patterns.add(pattern)
    return rules


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InputError(f"the rule {pattern!r} is not a regular expression: {error}") from None
