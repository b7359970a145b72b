"""Differences between two JSON documents."""

# pyright: strict
# pyright: reportUnknownArgumentType=false

from typing import cast

from tljax.files.disk import Json


def differences(before: object, now: object, *, path: str = "") -> list[str]:
    """List `path: old -> new` for each value that differs between two JSON documents."""
    if isinstance(before, dict) and isinstance(now, dict):
        old, new = cast(Json, before), cast(Json, now)
        names = [*old, *(name for name in new if name not in old)]
        pairs = (
            (f"{path}.{name}" if path else name, old.get(name), new.get(name)) for name in names
        )
        return [line for where, a, b in pairs for line in differences(a, b, path=where)]
    return [] if before == now else [f"{path} {str(before)[:60]} -> {str(now)[:60]}"]
