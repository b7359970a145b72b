"""Training states on disk: Orbax with the digests it lacks, keeping the latest and the best.

Orbax silently restores a flipped bit and casts to another dtype; here each is an InputError that
names the leaf.
"""

# pyright: strict
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import dataclasses
import json
import math
import os
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from tljax.errors import InputError
from tljax.files import manifest, orbax_noise
from tljax.files.disk import Json
from tljax.files.manifest import Items
from tljax.tree import nest

Meta = Json
MONITOR = "score"  # the metric that makes a checkpoint the best; higher is better


class Savable(Protocol):
    """A state: a dataclass and pytree with these fields, and perhaps `ema` and `factors`."""

    @property
    def step(self) -> Any: ...
    @property
    def params(self) -> Any: ...
    @property
    def model_state(self) -> Any: ...
    @property
    def opt_state(self) -> Any: ...


S = TypeVar("S", bound=Savable)


def save(
    directory: str | Path,
    step: int,
    *,
    state: Savable,
    meta: Meta,
    metrics: Mapping[str, float],
    monitor: str = MONITOR,
    others: Items | None = None,
    latest: int = 1,
) -> None:
    """Save a state in one piece, and keep only the `latest` checkpoints and the best.

    It is whole on disk on return, or not there. `meta` is plain JSON of the caller's, `others` are
    further trees by name. Steps must increase. A NaN or infinite `monitor` is never the best.
    """
    import orbax.checkpoint as ocp

    if monitor not in metrics:
        raise InputError(
            f"{directory}: step {step}: expected the metric {monitor}, found {sorted(metrics)}"
        )
    filled = {
        name: item
        for name, item in {**items(state), **(others or {})}.items()
        if jax.tree.leaves(item)
    }
    record = manifest.make(filled, meta=meta, where=_where(directory, step))
    args = {name: ocp.args.StandardSave(item) for name, item in filled.items()}
    with (
        _writing(_where(directory, step)),
        _manager(directory, monitor=monitor, latest=latest) as manager,
    ):
        saved = manager.save(
            step,
            args=ocp.args.Composite(**args, meta=ocp.args.JsonSave(record)),
            metrics={name: float(value) for name, value in metrics.items()},
        )
        manager.wait_until_finished()
        if not saved:
            raise InputError(
                f"{directory}: step {step}: expected a step after {manager.latest_step()}"
            )


def latest_step(directory: str | Path) -> int | None:
    """Return the last saved step, or None."""
    return max(_steps(directory), default=None)


def best_step(directory: str | Path, *, monitor: str = MONITOR) -> int | None:
    """Return the step of the highest finite `monitor`, the later of equals; None without one."""
    if not (steps := _steps(directory)):
        return None
    with orbax_noise.quiet(), _manager(directory, read_only=True) as manager:
        by_step = {step: manager.metrics(step) or {} for step in steps}
    scores = {step: _score(metrics, monitor) for step, metrics in by_step.items()}
    finite = {step: score for step, score in scores.items() if score > -math.inf}
    return max(finite, key=lambda step: (finite[step], step), default=None)


def restore(directory: str | Path, step: int, target: S) -> tuple[S, Meta]:
    """Restore `(state, meta)` as saved, on the shardings of `target`.

    `target` is a state of arrays or jax.ShapeDtypeStruct. Leaves of `target` without a sharding go
    to the first device. Fields that are not saved keep the values of `target`.
    """
    return restore_with(directory, step, target, others={})[0], read_meta(directory, step)


def restore_with(directory: str | Path, step: int, target: S, *, others: Items) -> tuple[S, Items]:
    """Restore `(state, others)`: a state saved with further trees.

    `others` describes these trees as `target` describes the state.
    """
    where, expected = _where(directory, step), {**items(target), **others}
    with _open(directory, step) as (manager, record):
        manifest.check_fit(record, expected, where=where)
        read = _read(manager, where, step, expected)
    manifest.verify(record, read, where=where)
    state = from_items(target, {name: read[name] for name in items(target)})
    return state, {name: read[name] for name in others}


def read_meta(directory: str | Path, step: int) -> Meta:
    """Read the caller's JSON alone."""
    with _open(directory, step) as (_, record):
        return record["meta"]


def restore_variables(directory: str | Path, step: int) -> tuple[Items, Meta]:
    """Read `({"params", "batch_stats"?, "factors"?}, meta)` as nested numpy arrays.

    The optimizer's are left out.
    """
    where = _where(directory, step)
    fields = ("params/", "model_state/", "factors/")
    with _open(directory, step) as (manager, record):
        leaves = {n: x for n, x in record["leaves"].items() if n.startswith(fields)}
        flat = {n: jax.ShapeDtypeStruct(x["shape"], x["dtype"]) for n, x in leaves.items()}
        read = _read(manager, where, step, nest(where, flat))
    manifest.verify(record, read, where=where)
    read = jax.tree.map(np.asarray, read)
    others = {**read.pop("model_state", {}), **read}
    return {"params": {}, **others}, record["meta"]


def items(state: Savable) -> Items:
    """Map the saved fields by name, with `ema` and `factors` where the state has some."""
    # Separate entries, so that params can be read alone; Orbax refuses a bare array as an entry.
    whole = {name: getattr(state, name) for name in ("params", "model_state", "opt_state")}
    more = {name: tree for name in ("ema", "factors") if (tree := getattr(state, name, None))}
    return {"step": {"step": state.step}, **whole, **more}


def from_items(target: S, read: Items) -> S:
    """Rebuild a state from `items`; fields that are not saved keep the values of `target`."""
    fields = read | {"step": read["step"]["step"]}
    return dataclasses.replace(target, **fields)  # pyright: ignore[reportArgumentType]


@contextmanager
def _writing(where: str) -> Generator[None]:
    try:
        with orbax_noise.quiet():
            yield
            return
    except InputError:
        raise
    except Exception as error:  # a full disk is an OSError, or an error of tensorstore's
        reason = _reason(error)
    raise InputError(f"{where}: cannot be written: {reason}; the checkpoints before it are whole")


def _read(manager: Any, where: str, step: int, target: Items) -> Items:
    import orbax.checkpoint as ocp

    abstract = jax.tree.map(_abstract, target)
    args = {
        name: ocp.args.StandardRestore(item)
        for name, item in abstract.items()
        if jax.tree.leaves(item)
    }
    # Without arguments Orbax would restore everything.
    return target | (_restored(manager, where, step, args) if args else {})


def _restored(manager: Any, where: str, step: int, args: dict[str, Any]) -> Items:
    import orbax.checkpoint as ocp

    try:
        with orbax_noise.quiet():
            return dict(manager.restore(step, args=ocp.args.Composite(**args)).items())
    except Exception as error:  # Orbax passes on errors of the file system, zarr or JSON
        reason = _reason(error)
    raise InputError(f"{where}: cannot be read: {reason}")


def _reason(error: BaseException) -> str:
    """Describe the first error: in the system's own words where it has any.

    tensorstore puts those at the end of a page.
    """
    root = _root(error)
    text = getattr(root, "strerror", None) or str(root)
    if code := re.search(r"os_error_code='(\d+)'", text):
        return os.strerror(int(code[1]))
    return " ".join(text.split())[:200]


def _root(error: BaseException) -> BaseException:
    cause = error.__cause__ or error.__context__
    return _root(cause) if cause else error


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None) or SingleDeviceSharding(jax.devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


@contextmanager
def _open(directory: str | Path, step: int) -> Generator[tuple[Any, Meta]]:
    import orbax.checkpoint as ocp

    where = _where(directory, step)
    if step not in (steps := _steps(directory)):
        raise InputError(f"{where}: no such checkpoint; found steps {steps}")
    with orbax_noise.quiet(), _manager(directory, read_only=True) as manager:
        record = _restored(manager, where, step, {"meta": ocp.args.JsonRestore()})["meta"]
        manifest.check_whole(record, where=where)
        yield manager, record


def _steps(directory: str | Path) -> list[int]:
    """List the steps in order.

    Orbax counts any folder named like a number; ours contain a record.
    """
    if not Path(directory).is_dir():
        return []
    with orbax_noise.quiet(), _manager(directory, read_only=True) as manager:
        return sorted(
            step for step in manager.all_steps() if Path(_where(directory, step), "meta").is_dir()
        )


def damaged(directory: str | Path) -> dict[int, str]:
    """Find the steps whose metrics cannot be read, with the reason.

    Because of one of them Orbax opens no other step either.
    """
    steps: dict[int, str] = {}
    for file in sorted(Path(directory).glob("*/metrics/metrics")):
        if not file.parent.parent.name.isdecimal():
            continue
        try:
            right = isinstance(json.loads(file.read_bytes()), dict)
            reason = "" if right else "no table of numbers"
        except (OSError, ValueError) as error:
            reason = _reason(error)
        if reason:
            step = int(file.parent.parent.name)
            where = _where(directory, step)
            steps[step] = f"{where}: metrics: expected what was saved, found {reason}"
    return steps


def _where(directory: str | Path, step: int) -> str:
    return str(Path(directory).resolve() / f"{step:06d}")


def _score(metrics: Mapping[str, float], monitor: str) -> float:
    value = metrics.get(monitor, -math.inf)
    return value if math.isfinite(value) else -math.inf  # Orbax would take NaN for the best


def _manager(
    directory: str | Path, *, monitor: str = MONITOR, latest: int = 1, read_only: bool = False
) -> Any:
    import orbax.checkpoint as ocp
    from orbax.checkpoint.checkpoint_managers import preservation_policy as keep

    for reason in damaged(directory).values():
        raise InputError(f"{reason}; remove this folder to go on without it")

    def score(metrics: dict[str, Any]) -> float:
        return _score(metrics, monitor)

    policy = keep.AnyPreservationPolicy(
        [keep.LatestN(latest), keep.BestN(get_metric_fn=score, n=1)]
    )
    options = ocp.CheckpointManagerOptions(
        best_fn=score,  # without it Orbax takes the metrics and does not write them
        preservation_policy=policy,
        cleanup_tmp_directories=not read_only,  # what a killed save left behind
        step_format_fixed_length=6,
        enable_async_checkpointing=False,
        create=not read_only,
    )
    return ocp.CheckpointManager(Path(directory).resolve(), options=options)
