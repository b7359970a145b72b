"""config.json: the settings of a run, and whether those of one that is continued are the same."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from tljax.config import Stage
from tljax.errors import InputError
from tljax.files import disk
from tljax.files.disk import Json
from tljax.files.json_diff import differences
from tljax.machine.provenance import command
from tljax.models.build import Network

FILE = "config.json"
Arguments = Mapping[str, object]  # of the command, as parsed

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
    "shifted",
)


def config(
    arguments: Arguments,
    stages: Mapping[str, tuple[Network, Stage]],
    *,
    data: Json,
    base: str | None,
    environment: Json,
) -> Json:
    """Describe a run in JSON: all settings as resolved, with versions and device."""
    named = {
        name: str(value) if isinstance(value, Path) else value for name, value in arguments.items()
    }
    plan = {
        name: {"network": asdict(network), "stage": asdict(stage)}
        for name, (network, stage) in stages.items()
    }
    document = {"command": command(), "arguments": named, "plan": plan, "data": data, "base": base}
    about = {name: environment[name] for name in ("versions", "device")}
    return disk.finite(document | about)


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


def other_lengths(*, before: Json, now: Json) -> dict[str, tuple[int, int]]:
    """Map each stage that both have, with other numbers of epochs, to these: before and now."""

    def epochs(config: Json) -> dict[str, int]:
        plan = config.get("plan")
        named: Json = plan if isinstance(plan, dict) else {}
        return {name: entry["stage"]["epochs"] for name, entry in named.items()}

    old, new = epochs(before), epochs(now)
    return {name: (old[name], new[name]) for name in new if old.get(name, new[name]) != new[name]}


def _deciding(config: Json) -> Json:
    config = json.loads(json.dumps(config))  # as read from a file: tuples are lists
    fields = {name: config.get(name) for name in ("plan", "data", "base", "versions")}
    arguments = {k: v for k, v in config.get("arguments", {}).items() if k not in FREE}
    return fields | {"arguments": arguments}
