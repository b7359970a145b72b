"""Training states on disk: Orbax, with the digests it lacks, keeping the latest and the best.

A state is any dataclass pytree with `step`, `params`, `model_state` and `opt_state`. Orbax restores a flipped
bit and casts to another dtype without a word; here each is an InputError that names the leaf.
"""

import dataclasses
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from tljax.errors import InputError
from tljax.files import manifest, orbax_noise
from tljax.tree import nest

MONITOR = "accuracy"  # the metric that makes a checkpoint the best; higher is better


def save(
    directory: str | Path,
    step: int,
    *,
    state: Any,
    meta: dict,
    metrics: Mapping[str, float],
    monitor: str = MONITOR,
    others: Mapping[str, Any] | None = None,
    latest: int = 1,
) -> None:
    """Save, and keep only the `latest` and the best; whole on disk when it returns, or not there.

    `meta` is plain JSON of the caller's, `others` are further trees by name. Steps must grow. A NaN or infinite
    `monitor` is never the best.
    """
    import orbax.checkpoint as ocp

    if monitor not in metrics:
        raise InputError(f"{directory}: step {step}: expected the metric {monitor}, found {sorted(metrics)}")
    filled = {name: item for name, item in {**items(state), **(others or {})}.items() if jax.tree.leaves(item)}
    record = manifest.make(filled, meta=meta, where=_where(directory, step))
    args = {name: ocp.args.StandardSave(item) for name, item in filled.items()}
    with _writing(_where(directory, step)), _manager(directory, monitor=monitor, latest=latest) as manager:
        saved = manager.save(
            step,
            args=ocp.args.Composite(**args, meta=ocp.args.JsonSave(record)),
            metrics={name: float(value) for name, value in metrics.items()},
        )
        manager.wait_until_finished()
        if not saved:
            raise InputError(f"{directory}: step {step}: expected a step after {manager.latest_step()}")


def latest_step(directory: str | Path) -> int | None:
    """The last step saved, or None."""
    return max(_steps(directory), default=None)


def best_step(directory: str | Path, *, monitor: str = MONITOR) -> int | None:
    """The step of the highest finite `monitor`, the later of equals; None where there is none."""
    if not (steps := _steps(directory)):
        return None
    with orbax_noise.quiet(), _manager(directory, read_only=True) as manager:
        found = {step: manager.metrics(step) or {} for step in steps}
    scores = {step: _score(metrics, monitor) for step, metrics in found.items()}
    finite = {step: score for step, score in scores.items() if score > -math.inf}
    return max(finite, key=lambda step: (finite[step], step), default=None)


def restore(directory: str | Path, step: int, target: Any) -> tuple[Any, dict]:
    """`(state, meta)` as saved, on the shardings of `target`: a state of arrays or jax.ShapeDtypeStruct.

    Leaves of `target` without a sharding go to the first device. Fields that are not saved stay `target`'s.
    """
    return restore_with(directory, step, target, others={})[0], read_meta(directory, step)


def restore_with(directory: str | Path, step: int, target: Any, *, others: Mapping[str, Any]) -> tuple[Any, dict]:
    """`(state, others)`: a state saved with further trees, which `others` describes as `target` does the state."""
    where, wanted = _where(directory, step), {**items(target), **others}
    with _open(directory, step) as (manager, record):
        manifest.check_fit(record, wanted, where=where)
        read = _read(manager, where, step, wanted)
    manifest.verify(record, read, where=where)
    return from_items(target, {name: read[name] for name in items(target)}), {name: read[name] for name in others}


def read_meta(directory: str | Path, step: int) -> dict:
    """The caller's JSON alone."""
    with _open(directory, step) as (_, record):
        return record["meta"]


def restore_params(directory: str | Path, step: int) -> tuple[dict, dict]:
    """`(params, meta)`, params as nested numpy arrays: for predicting, without knowing the optimizer."""
    where = _where(directory, step)
    with _open(directory, step) as (manager, record):
        leaves = record["leaves"].items()
        flat = {n: jax.ShapeDtypeStruct(x["shape"], x["dtype"]) for n, x in leaves if n.startswith("params/")}
        read = _read(manager, where, step, nest(where, flat))
    manifest.verify(record, read, where=where)
    return jax.tree.map(np.asarray, read.get("params", {})), record["meta"]


def items(state: Any) -> dict[str, Any]:
    """The saved fields by name; `ema` where the state has any."""
    # Entries of their own, so that params can be read alone; Orbax refuses a bare array as an entry.
    whole = {name: getattr(state, name) for name in ("params", "model_state", "opt_state")}
    averages = {"ema": state.ema} if getattr(state, "ema", None) else {}
    return {"step": {"step": state.step}, **whole, **averages}


def from_items(target: Any, read: dict[str, Any]) -> Any:
    """The state that `items` made these of; fields that are not saved are `target`'s."""
    return dataclasses.replace(target, **read | {"step": read["step"]["step"]})


@contextmanager
def _writing(where: str) -> Iterator[None]:
    with orbax_noise.quiet():
        try:
            yield
            return
        except InputError:
            raise
        except Exception as error:  # a full disk comes as OSError, or as whatever tensorstore makes of it
            reason = _reason(error)
        orbax_noise.outlive()
    raise InputError(f"{where}: cannot be written: {reason}; the checkpoints before it are whole")


def _read(manager: Any, where: str, step: int, wanted: dict[str, Any]) -> dict[str, Any]:
    import orbax.checkpoint as ocp

    abstract = jax.tree.map(_abstract, wanted)
    args = {name: ocp.args.StandardRestore(item) for name, item in abstract.items() if jax.tree.leaves(item)}
    # Asked for nothing, Orbax gives whatever is there.
    return wanted | (_restored(manager, where, step, args) if args else {})


def _restored(manager: Any, where: str, step: int, args: dict[str, Any]) -> dict[str, Any]:
    import orbax.checkpoint as ocp

    with orbax_noise.quiet():
        try:
            return dict(manager.restore(step, args=ocp.args.Composite(**args)).items())
        except Exception as error:  # Orbax passes on whatever the file system, zarr or JSON raised
            reason = _reason(error)
        orbax_noise.outlive()
    raise InputError(f"{where}: cannot be read: {reason}")


def _reason(error: BaseException) -> str:
    """Of the first error: the system's own words where it has any, which tensorstore puts at the end of a page."""
    root = _root(error)
    text = getattr(root, "strerror", None) or str(root)
    if found := re.search(r"os_error_code='(\d+)'", text):
        return os.strerror(int(found[1]))
    return " ".join(text.split())[:200]


def _root(error: BaseException) -> BaseException:
    cause = error.__cause__ or error.__context__
    return _root(cause) if cause else error


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None) or SingleDeviceSharding(jax.devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


@contextmanager
def _open(directory: str | Path, step: int) -> Iterator[tuple[Any, dict]]:
    import orbax.checkpoint as ocp

    where = _where(directory, step)
    if step not in (steps := _steps(directory)):
        raise InputError(f"{where}: no such checkpoint; found steps {steps}")
    with orbax_noise.quiet(), _manager(directory, read_only=True) as manager:
        record = _restored(manager, where, step, {"meta": ocp.args.JsonRestore()})["meta"]
        manifest.check_whole(record, where=where)
        yield manager, record


def _steps(directory: str | Path) -> list[int]:
    """In order. Orbax counts any folder named like a number; ours hold a record."""
    if not Path(directory).is_dir():
        return []
    with orbax_noise.quiet(), _manager(directory, read_only=True) as manager:
        return sorted(step for step in manager.all_steps() if Path(_where(directory, step), "meta").is_dir())


def damaged(directory: str | Path) -> dict[int, str]:
    """Steps whose metrics cannot be read, and why: with one of them Orbax opens no other step either."""
    found = {}
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
            found[step] = f"{_where(directory, step)}: metrics: expected what was saved, found {reason}"
    return found


def _where(directory: str | Path, step: int) -> str:
    return str(Path(directory).resolve() / f"{step:06d}")


def _score(metrics: Mapping[str, float], monitor: str) -> float:
    value = metrics.get(monitor, -math.inf)
    return value if math.isfinite(value) else -math.inf  # Orbax would take NaN for the best and drop the best


def _manager(directory: str | Path, *, monitor: str = MONITOR, latest: int = 1, read_only: bool = False) -> Any:
    import orbax.checkpoint as ocp
    from orbax.checkpoint.checkpoint_managers import preservation_policy as keep

    for reason in damaged(directory).values():
        raise InputError(f"{reason}; remove this folder to go on without it")

    def score(metrics: dict) -> float:
        return _score(metrics, monitor)

    policy = keep.AnyPreservationPolicy([keep.LatestN(latest), keep.BestN(get_metric_fn=score, n=1)])
    options = ocp.CheckpointManagerOptions(
        best_fn=score,  # without it Orbax takes the metrics and does not write them
        preservation_policy=policy,
        cleanup_tmp_directories=not read_only,  # what a killed save left behind
        step_format_fixed_length=6,
        enable_async_checkpointing=False,
        create=not read_only,
    )
    return ocp.CheckpointManager(Path(directory).resolve(), options=options)
