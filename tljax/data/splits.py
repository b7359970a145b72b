"""Splits: a seeded stratified one, and a check for photographs in both parts."""

import collections
import hashlib

from tljax.data.photos import Listing
from tljax.errors import InputError


def stratified(listing: Listing, *, fraction: float, seed: int) -> dict[str, Listing]:
    """Split a listing into "train" and "validation", with the same fraction of each class.

    Validation has round(fraction * n) of each class's n photographs. Files with the same bytes land
    on the same side. The order is that of sha256(seed, bytes), so the split depends on neither
    names nor library versions, and one photograph more or less moves few others.
    """
    copies = collections.defaultdict(list)
    for i, digest in enumerate(listing.digests):
        copies[digest].append(i)
    by_class = collections.defaultdict(list)
    for digest, indices in copies.items():
        by_class[int(listing.labels[indices[0]])].append(digest)
    validation = [
        i
        for digests in by_class.values()
        for i in _held_out(digests, copies, fraction=fraction, seed=seed)
    ]
    rest = sorted(set(range(len(listing.ids))) - set(validation))
    return {"train": listing.take(rest), "validation": listing.take(sorted(validation))}


def refuse_shared(
    training: Listing, validation: Listing, *, names: tuple[str, str] = ("training", "validation")
) -> None:
    """Check that no photograph's bytes are in both listings; InputError names those that are."""
    names_by_digest = dict(zip(training.digests, training.ids, strict=True))
    shared = [
        f"{names_by_digest[digest]} = {name}"
        for digest, name in zip(validation.digests, validation.ids, strict=True)
        if digest in names_by_digest
    ]
    if shared:
        more = ", ..." if len(shared) > 3 else ""
        raise InputError(
            f"{len(shared)} {names[1]} photographs have the same bytes as a {names[0]} photograph: "
            f"{', '.join(shared[:3])}{more}; remove them, or pass allow_duplicates"
        )


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
