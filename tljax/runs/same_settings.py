"""Whether a run may be continued: same data, plan, base and arguments, or what differs."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import json
from pathlib import Path
from typing import Any

from tljax.errors import InputError
from tljax.files.json_diff import differences

# Paths and output settings; the digests in `data` and `base` stand for the files' contents.
FREE = (
    "workdir",
    "overwrite",
    "resume",
    "resume_anyway",
    "quiet",
    "weights",
    "data",
    "data_dir",
    "seeds",
    "log",
)


def check(path: Path, *, before: dict[str, Any], now: dict[str, Any], anyway: bool) -> None:
    """Check that two config.json agree in everything that decides the result; InputError if not.

    `anyway` prints the line instead.
    """
    unequal = differences(_deciding(before), _deciding(now))
    if not unequal:
        return
    line = f"{path}: this run was begun with other settings: {', '.join(unequal[:5])}"
    if not anyway:
        raise InputError(f"{line}; --overwrite starts anew, --resume-anyway continues all the same")
    print(f"{line}; continued all the same", flush=True)


def _deciding(config: dict[str, Any]) -> dict[str, Any]:
    config = json.loads(json.dumps(config))  # as read from a file: tuples are lists
    kept = {name: config.get(name) for name in ("plan", "data", "base", "versions")}
    return kept | {
        "arguments": {k: v for k, v in config.get("arguments", {}).items() if k not in FREE}
    }
