"""What differs between two JSON documents."""

from typing import Any


def differences(before: Any, now: Any, *, path: str = "") -> list[str]:
    """List `path: old -> new` for each value that differs between two JSON documents."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = [*before, *(name for name in now if name not in before)]
        pairs = (
            (f"{path}.{name}" if path else name, before.get(name), now.get(name)) for name in names
        )
        return [line for where, old, new in pairs for line in differences(old, new, path=where)]
    return [] if before == now else [f"{path} {str(before)[:60]} -> {str(now)[:60]}"]
