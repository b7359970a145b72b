"""Settings of a run that is to be continued: data, plan, base and arguments must be the same."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import json
from pathlib import Path

from tljax.errors import InputError
from tljax.files.disk import Json
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


def check(path: Path, *, before: Json, now: Json, anyway: bool) -> None:
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


def _deciding(config: Json) -> Json:
    config = json.loads(json.dumps(config))  # as read from a file: tuples are lists
    fields = {name: config.get(name) for name in ("plan", "data", "base", "versions")}
    arguments = {k: v for k, v in config.get("arguments", {}).items() if k not in FREE}
    return fields | {"arguments": arguments}
