"""Whether a run may be continued: the same data, plan, base and arguments, or a line that names what differs."""

import json
from pathlib import Path
from typing import Any

from tljax.errors import InputError

# Where things lie, and how much is said; `data` and `base` have the digests of what lies there.
FREE = ("workdir", "overwrite", "resume", "resume_anyway", "quiet", "weights", "data", "data_dir", "seeds", "log")


def check(path: Path, *, before: dict[str, Any], now: dict[str, Any], anyway: bool) -> None:
    """InputError unless two config.json agree in all that decides the result; `anyway` prints the line instead."""
    unequal = differences(_deciding(before), _deciding(now))
    if not unequal:
        return
    line = f"{path}: this run was begun with other settings: {', '.join(unequal[:5])}"
    if not anyway:
        raise InputError(f"{line}; --overwrite starts anew, --resume-anyway continues all the same")
    print(f"{line}; continued all the same", flush=True)


def differences(before: Any, now: Any, *, path: str = "") -> list[str]:
    """`path: old -> new` of each value that differs between two JSON documents."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = [*before, *(name for name in now if name not in before)]
        pairs = ((f"{path}.{name}" if path else name, before.get(name), now.get(name)) for name in names)
        return [line for where, old, new in pairs for line in differences(old, new, path=where)]
    return [] if before == now else [f"{path} {str(before)[:60]} -> {str(now)[:60]}"]


def _deciding(config: dict[str, Any]) -> dict[str, Any]:
    config = json.loads(json.dumps(config))  # as it is read: tuples are lists
    kept = {name: config.get(name) for name in ("plan", "data", "base", "versions")}
    return kept | {"arguments": {k: v for k, v in config.get("arguments", {}).items() if k not in FREE}}
