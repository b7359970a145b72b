"""The only loop: a stage in, a trained state and its history out."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh
from tqdm import tqdm

from tljax.config import Stage
from tljax.data.draws import draws, example_keys
from tljax.errors import InputError
from tljax.models import ops
from tljax.optim import rules as rules_lib
from tljax.optim import schedules, transform
from tljax.train import devices, step
from tljax.train.evaluate import make_evaluate
from tljax.train.feed import Examples, feed, fits
from tljax.train.inputs import Inputs

_SEGMENT = 32  # steps in one compiled program at most: what lies between two moves of the progress bar


@dataclass
class History:
    """What happened in a stage: a record per epoch, and what it cost."""

    epochs: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    compile_seconds: float = 0.0
    images_per_second: float = 0.0  # of training alone
    step_flops: float = 0.0  # of the compiled step, by the compiler's count


def train_stage(
    stage: Stage,
    *,
    module: Any,
    variables: dict[str, Any],
    inputs: Inputs,
    seed: int,
    over: Mesh | None = None,
    on_epoch: Callable[[dict[str, Any], step.State], None] = lambda record, state: None,
    progress: bool = True,
) -> tuple[step.State, History]:
    """Train `variables` (`{"params", "batch_stats"?}`) by the stage's rules; a record per epoch goes to `on_epoch`.

    Each epoch is a few compiled programs, each a scan over steps: gather, augment, step. The result depends on `seed`
    and the data, not on where the programs are cut.
    """
    over = devices.mesh_for(stage.batch_size) if over is None else over
    devices.check_batch(stage.batch_size, over)
    began = time.perf_counter()
    state = _first_state(stage, variables, over)
    apply = _apply(module, inputs.start)
    rules = stage.rules
    tx = _transform(stage, variables["params"])
    program = _program(step.make_train_step(apply=apply, tx=tx, rules=rules), inputs)
    evaluate = make_evaluate(
        apply=apply,
        prepare=inputs.plain,
        examples=inputs.validation,
        batch_size=_eval_batch(stage, over),
        over=over,
    )
    per_epoch = stage.steps_per_epoch(len(inputs.train))
    length = segment_steps(per_epoch)
    history, compiled, busy = History(), None, 0.0
    bar = tqdm(total=stage.epochs * per_epoch, desc=stage.name, unit="step", disable=not progress, leave=True)
    last: dict[str, Any] = {}
    sums: dict[str, float] = {}
    for segment in _segments(stage, inputs.train, per_epoch, length, seed=seed, over=over):
        if compiled is None:
            started = time.perf_counter()
            compiled = program.lower(state, *segment.arguments).compile()
            history.compile_seconds = time.perf_counter() - started
            history.step_flops = float((compiled.cost_analysis() or {}).get("flops", math.nan))
        started = time.perf_counter()
        state, metrics = compiled(state, *segment.arguments)
        done = {name: np.asarray(value, np.float64) for name, value in metrics.items()}
        spent = time.perf_counter() - started
        busy += spent
        _refuse_nonfinite(done["loss"], stage, segment.first_step)
        sums = {name: sums.get(name, 0.0) + float(value.sum()) for name, value in done.items()}
        sums["seconds"] = sums.get("seconds", 0.0) + spent
        train = {"loss": sums["loss"] / sums["count"], "accuracy": sums["correct"] / sums["count"]}
        steps_done = segment.first_step + length
        if steps_done % per_epoch == 0:
            validation = evaluate(state)
            last = {
                "rung": stage.name,
                "seed": seed,
                "epoch": steps_done // per_epoch,
                "step": steps_done,
                "train": train,
                "validation": validation,
                "rates": {p: m * segment.lr for p, m in rules_lib.multipliers(stage.rules).items()},
                "grad_norm": sums["grad_norm"] / per_epoch,
                "images_per_second": sums["count"] / sums["seconds"],
                "seconds": time.perf_counter() - began,
            }
            history.epochs.append(last)
            on_epoch(last, state)
            sums = {}
        bar.set_postfix_str(_postfix(train, last, segment.lr, segment.images / spent), refresh=False)
        bar.update(length)
    bar.close()
    history.seconds = time.perf_counter() - began
    history.images_per_second = stage.epochs * per_epoch * stage.batch_size / busy
    return state, history


def segment_steps(steps_per_epoch: int) -> int:
    """Steps in one compiled program: the largest divisor of an epoch's steps that is at most 32, if it is 8 or more."""
    largest = max(n for n in range(1, _SEGMENT + 1) if steps_per_epoch % n == 0)
    return largest if largest >= 8 else steps_per_epoch


@dataclass(frozen=True)
class _Segment:
    first_step: int
    arguments: tuple[Any, ...]
    lr: float
    images: int


def _segments(
    stage: Stage, train: Examples, per_epoch: int, length: int, *, seed: int, over: Mesh
) -> Iterator[_Segment]:
    """The arguments of each compiled call, in order, copied to the devices ahead of it where the set is streamed."""
    rate = schedules.resolve(stage.lr, steps=stage.epochs * per_epoch)
    starts = range(0, stage.epochs * per_epoch, length)
    split, whole = devices.split_batch(over, axis=1), devices.replicated(over)
    root = jax.device_put(jax.random.key(seed), whole)  # an argument: another seed does not recompile
    shape = (length, stage.batch_size)

    def drawn(first: int) -> tuple[np.ndarray, np.ndarray]:
        passes, example = draws(
            first * stage.batch_size, length * stage.batch_size, examples=len(train), seed=seed
        )
        return passes.reshape(shape), example.reshape(shape)

    pools = feed(
        train.inputs, (train.rows(*drawn(first)) for first in starts), over=over, resident=fits(train.inputs)
    )
    for first, (pool, rows) in zip(starts, pools, strict=True):
        passes, example = drawn(first)
        batches = {
            "row": rows,
            "pass": passes,
            "example": example,
            "label": train.labels[example].astype(np.int32),
        }
        lr = [rate(i) for i in range(first, first + length)]
        hyper = {"lr": np.array(lr, np.float32), "dropout": np.full(length, stage.dropout, np.float32)}
        arguments = (pool, root, jax.device_put(batches, split), jax.device_put(hyper, whole))
        yield _Segment(first, arguments, lr[-1], rows.size)


def _program(train_step: Callable[..., Any], inputs: Inputs) -> Any:
    """`(state, pool, root key, batches, hyper) -> (state, metrics [steps])`: steps in one scan, the state donated."""

    def program(state: step.State, pool: Array, root: Array, batches: dict[str, Array], hyper: dict[str, Array]) -> Any:
        def body(state: step.State, xs: tuple[dict[str, Array], dict[str, Array]]) -> Any:
            batch, now = xs
            augment_keys, dropout_keys = example_keys(root, batch["pass"], batch["example"])
            image = inputs.augmented(pool[batch["row"]], augment_keys)
            return train_step(state, {"image": image, "label": batch["label"], "key": dropout_keys}, now)

        return jax.lax.scan(body, state, (batches, hyper))

    return ops.jit(program, donate_argnums=0)


def _first_state(stage: Stage, variables: dict[str, Any], over: Mesh) -> step.State:
    params = variables["params"]
    model_state = {name: tree for name, tree in variables.items() if name != "params"}
    state = step.init_state(params, model_state=model_state, tx=_transform(stage, params), rules=stage.rules)
    return devices.put(state, devices.replicated(over))


def _transform(stage: Stage, params: dict[str, Any]) -> Any:
    return transform.make(stage.optimizer, stage.rules, rules_lib.flatten(params))


def _apply(module: Any, start: str | None) -> Callable[..., Any]:
    def apply(variables: dict[str, Any], x: Array, **options: Any) -> Any:
        return module.apply(variables, x, start=start, **options)

    return apply


def _eval_batch(stage: Stage, over: Mesh) -> int:
    return max(stage.batch_size, 32 * over.size)


def _refuse_nonfinite(losses: np.ndarray, stage: Stage, first_step: int) -> None:
    bad = np.flatnonzero(~np.isfinite(losses))
    if bad.size:
        raise InputError(
            f"stage {stage.name!r}: the loss of step {first_step + bad[0]} is not finite; lower the rate"
        )


def _postfix(train: dict[str, float], last: dict[str, Any], lr: float, speed: float) -> str:
    parts = [f"loss {train['loss']:.3f}", f"acc {train['accuracy']:.3f}"]
    if last:
        parts += [f"val {last['validation']['accuracy']:.3f}"]
    return ", ".join([*parts, f"lr {lr:.1e}", f"{speed:.0f} img/s"])
