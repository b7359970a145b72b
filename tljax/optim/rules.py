"""Training rules: one ordered list of `(pattern, multiplier or None)` over parameter paths.

`[("head/.*", 1.0), ("base/block5_.*", 0.1), (".*", None)]`: a pattern must match a whole slash
path, the first match wins, a number multiplies the stage's rate, None freezes. A parameter that no
rule covers is an error, and so is a rule that decides nothing, so a typing mistake in a pattern
never goes unnoticed.
"""

import re
from collections.abc import Iterable, Sequence

from flax.traverse_util import unflatten_dict

from tljax.errors import InputError
from tljax.tree import Flat, Params, Tree, flatten

Rules = tuple[tuple[str, float | None], ...]


def labels(paths: Iterable[str], rules: Rules) -> dict[str, str]:
    """Map each path to the pattern that decides it.

    InputError names an uncovered path, or an unused or malformed rule.

    >>> labels(["head/fc1/bias", "base/conv1/bias"], (("head/.*", 1.0), (".*", None)))
    {'head/fc1/bias': 'head/.*', 'base/conv1/bias': '.*'}
    """
    compiled = [(pattern, _compile(pattern)) for pattern, multiplier in _checked(rules)]
    decided: dict[str, str] = {}
    for path in paths:
        matches = [pattern for pattern, regex in compiled if regex.fullmatch(path)]
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
    return {pattern: multiplier for pattern, multiplier in rules if multiplier is not None}


def split(params: Tree, rules: Rules) -> tuple[Flat, Flat]:
    """Split a nested tree into `(trainable, frozen)`, both flat: slash path -> leaf."""
    flat = flatten(params)
    decided, rates = labels(flat, rules), multipliers(rules)
    trainable = {path: leaf for path, leaf in flat.items() if decided[path] in rates}
    return trainable, {path: leaf for path, leaf in flat.items() if path not in trainable}


def merge(trainable: Flat, frozen: Flat) -> Params:
    """Merge two flat trees into one nested tree: the inverse of `split`."""
    return unflatten_dict({**frozen, **trainable}, sep="/")


def frozen_layers(params: Tree, rules: Rules) -> frozenset[str]:
    """Return the slash paths of layers without a trainable parameter, nested layers included.

    A path is `base/block1_conv1`.
    """
    trainable, frozen = split(params, rules)
    moving = {layer for path in trainable for layer in _ancestors(path)}
    return frozenset(layer for path in frozen for layer in _ancestors(path) if layer not in moving)


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
    rules: list[tuple[str, float | None]] = []
    for distance, group in enumerate(reversed(groups)):
        patterns = [group] if isinstance(group, str) else group
        rules += [(pattern, factor**-distance) for pattern in patterns]
    if freeze:
        rules.append((freeze, None))
    return tuple(rules)


def _ancestors(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:i]) for i in range(1, len(parts))]


def _checked(rules: Rules) -> Rules:
    for pattern, multiplier in rules:
        if multiplier is not None and not (
            isinstance(multiplier, int | float) and 0 < multiplier < float("inf")
        ):
            raise InputError(
                f"the rule {pattern!r} has multiplier {multiplier!r}; "
                "a positive number, or None to freeze"
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
