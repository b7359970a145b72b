"""Splits: a seeded stratified one, a few of many, and checks for photographs that are in two."""

import collections
import hashlib
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from tljax.data.names import numbers_hint, told
from tljax.data.photos import Listing
from tljax.errors import InputError

_ANYWAY = "remove them, or pass --allow-duplicates (allow_duplicates=True)"


def complete(
    source: str,
    listings: Mapping[str, Listing],
    classes: Sequence[str],
    *,
    fraction: float,
    seed: int,
    copies: bool = False,
    what: str = "photographs",
) -> dict[str, Listing]:
    """Hold out a validation split where a source has none; refuse copies unless they may be.

    InputError for a fraction that is none, for copies, and where nothing can be held out.
    """
    if not 0 < fraction < 1:
        raise InputError(f"validation_fraction: expected between 0 and 1, found {fraction}")
    if not copies:
        refuse_copies(source, listings, classes, what=what)
    if "validation" in listings:
        return dict(listings)
    parts = stratified(listings["train"], fraction=fraction, seed=seed)
    if not parts["validation"].ids:
        raise InputError(
            f"{source}: expected two different {what} or more of a class, to hold one "
            "out for validation, found copies or one alone in every class"
            + numbers_hint(source, classes)
        )
    return {**listings, **parts}


def stratified(listing: Listing, *, fraction: float, seed: int) -> dict[str, Listing]:
    """Split a listing into "train" and "validation", with the same fraction of each class.

    Photographs with several labels are of one class where they have the same ones; those with
    numbers are all of one.

    Validation has round(fraction * n) of each class's n photographs. Files with the same bytes land
    on the same side. The order is that of sha256(seed, bytes), so the split depends on neither
    names nor library versions, and one photograph more or less moves few others.
    """
    copies = collections.defaultdict(list)
    for i, digest in enumerate(listing.digests):
        copies[digest].append(i)
    by_class = collections.defaultdict(list)
    for digest, indices in copies.items():
        by_class[_stratum(listing.labels[indices[0]])].append(digest)
    validation = [
        i
        for digests in by_class.values()
        for i in _held_out(digests, copies, fraction=fraction, seed=seed)
    ]
    rest = sorted(set(range(len(listing.ids))) - set(validation))
    return {"train": listing.take(rest), "validation": listing.take(sorted(validation))}


def few(labels: np.ndarray, ids: Sequence[str], count: int, *, seed: int) -> np.ndarray:
    """Draw `count` of the examples by the seed; returns their places, int64 `[count]`, in order.

    `labels` are classes, int32 `[N]`. Each class keeps its share, and one example at least where
    `count` allows. A larger draw of a seed contains its smaller ones, and a draw follows from the
    seed and the names alone: more examples that are not drawn change nothing.
    """
    keys = [hashlib.sha256(f"{seed} {name}".encode()).digest() for name in ids]
    # Each example's place within its class, as a share: the smallest are a fair part of each.
    sizes, seen, shares = np.bincount(labels), np.zeros(labels.max() + 1, int), {}
    for i in sorted(range(len(labels)), key=lambda i: keys[i]):
        shares[i] = (seen[labels[i]] / sizes[labels[i]], keys[i])
        seen[labels[i]] += 1
    return np.sort(sorted(shares, key=lambda i: shares[i])[:count])


_CALLED = {"train": "training", "validation": "validation", "test": "test"}


def refuse_copies(
    where: str,
    listings: Mapping[str, Listing],
    classes: Sequence[str],
    *,
    what: str = "photographs",
) -> None:
    """Refuse examples with the same bytes in two splits, or in one split in two classes."""
    for listing in listings.values():
        refuse_two_labels(where, listing, classes, what=what)
    for one, other in itertools.combinations([split for split in _CALLED if split in listings], 2):
        names = (_CALLED[one], _CALLED[other])
        refuse_shared(where, listings[one], listings[other], names=names, what=what)


def refuse_two_labels(
    where: str, listing: Listing, classes: Sequence[str], *, what: str = "photographs"
) -> None:
    """Refuse examples whose bytes are in two classes of a split; InputError names them."""
    first: dict[str, int] = {}

    def said(label: np.ndarray) -> str:
        return " and ".join(told(label, classes))

    twins = [
        f"{listing.ids[at]} ({said(listing.labels[at])}) = "
        f"{listing.ids[i]} ({said(listing.labels[i])})"
        for i, digest in enumerate(listing.digests)
        if np.any(listing.labels[at := first.setdefault(digest, i)] != listing.labels[i])
    ]
    if twins:
        raise InputError(
            f"{where}: {len(twins)} {what} have the same bytes as one of another class: "
            f"{_few(twins)}; {_ANYWAY}"
        )


def refuse_shared(
    where: str,
    training: Listing,
    validation: Listing,
    *,
    names: tuple[str, str] = ("training", "validation"),
    what: str = "photographs",
) -> None:
    """Check that no example's bytes are in both listings; InputError names those that are."""
    names_by_digest = dict(zip(training.digests, training.ids, strict=True))
    shared = [
        f"{names_by_digest[digest]} = {name}"
        for digest, name in zip(validation.digests, validation.ids, strict=True)
        if digest in names_by_digest
    ]
    if shared:
        raise InputError(
            f"{where}: {len(shared)} {names[1]} {what} have the same bytes as a {names[0]} "
            f"{what.removesuffix('s')}: "
            f"{_few(shared)}; {_ANYWAY}"
        )


def _stratum(label: np.ndarray) -> bytes:
    return b"" if label.dtype.kind == "f" else label.tobytes()


def _few(pairs: Sequence[str]) -> str:
    return ", ".join(pairs[:3]) + (", ..." if len(pairs) > 3 else "")


def _held_out(
    digests: list[str], copies: dict[str, list[int]], *, fraction: float, seed: int
) -> list[int]:
    """Choose one class's indices for validation: some and not all, unless it has one photograph."""
    count = sum(len(copies[digest]) for digest in digests)
    target = max(1, round(fraction * count))
    chosen = []
    order = sorted(digests, key=lambda digest: hashlib.sha256(f"{seed} {digest}".encode()).digest())
    for digest in order[:-1]:
        if len(chosen) + len(copies[digest]) <= target:
            chosen += copies[digest]
    return chosen
