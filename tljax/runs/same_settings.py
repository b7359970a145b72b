"""Whether a run may be continued: the same data, plan, base and arguments, or a line that names what differs."""

import json
from pathlib import Path
from typing import Any

from tljax.errors import InputError
from tljax.files.json_diff import differences

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


def _deciding(config: dict[str, Any]) -> dict[str, Any]:
    config = json.loads(json.dumps(config))  # as it is read: tuples are lists
    kept = {name: config.get(name) for name in ("plan", "data", "base", "versions")}
    return kept | {"arguments": {k: v for k, v in config.get("arguments", {}).items() if k not in FREE}}
