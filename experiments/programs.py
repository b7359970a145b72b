"""Compile the lecture's steps from scratch and from block 5, and time them as the loop runs them.

    python -m experiments.programs --dtype bfloat16

Prints a line for each: seconds of tracing and compiling, images a second with draws of the
augmentation and 32 steps in a call, kernels a step. What an accelerator's compiler may try is said
by XLA_FLAGS=--xla_gpu_autotune_level=N; a JAX_COMPILATION_CACHE_DIR that is new has it compile
anew. `.ci/gpu programs` does so at levels 0, 2 and 4.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import jax

from tljax import config
from tljax.audit import hlo
from tljax.benchmark.rows import CPU, Json, Settings
from tljax.benchmark.started import prepare
from tljax.commands import cli, running
from tljax.files import disk
from tljax.train import program, segments


def main() -> None:
    """Run the command."""
    args = _parser().parse_args()
    settings = replace(CPU, size=args.size, width=args.width, dtype=args.dtype, epoch_steps=32)
    found = [_timed(rung, settings, args) for rung in ("scratch", "finetune")]
    for each in found:
        print(
            f"{each['rung']} at {args.batch}, {args.dtype}: made in {each['seconds']:.1f} s, "
            f"{each['images_per_second']:,.0f} images/s, {each['milliseconds']:.3g} ms and "
            f"{each['kernels']:.0f} kernels a step, {each['step_flops'] / 1e9:.3g} GFLOP a step"
        )
    if args.json:
        disk.write_json(args.json, {"device": jax.devices()[0].device_kind, "programs": found})


def _parser() -> argparse.ArgumentParser:
    parser = cli.bare_parser(__doc__, experiment="programs")
    add = parser.add_argument
    add("--batch", type=cli.positive, default=32, metavar="N", help="images in a step (32)")
    add("--size", type=cli.positive, default=150, metavar="PIXELS", help="side of them (150)")
    add("--width", type=cli.fraction, default=1.0, metavar="W", help="of the VGG16 (1.0)")
    add("--dtype", choices=("float32", "bfloat16"), default="float32", help="(float32)")
    add("--seconds", type=float, default=1.0, help="least time of the steps (1)")
    add("--json", type=Path, metavar="FILE", help="for the figures")
    return parser


def _timed(rung: str, settings: Settings, args: argparse.Namespace) -> Json:
    stage = config.PRESETS["deck-keras3"][rung]
    begun = prepare(stage, settings, batch=args.batch, count=settings.epoch_steps * args.batch)
    (part,) = segments.segments(begun.stage, begun.ready, seed=0, over=begun.over)
    jitted = segments.make_program(begun.train_step, begun.ready, begun.over)
    made = program.compiled(begun.stage, jitted, begun.state, part.arguments)
    state, metrics = made.call(begun.state, *part.arguments)
    jax.block_until_ready(metrics)
    calls, started = 0, time.perf_counter()
    while (taken := time.perf_counter() - started) < args.seconds:
        state, metrics = made.call(state, *part.arguments)
        jax.block_until_ready(metrics)
        calls += 1
    steps = calls * part.steps
    return {
        "rung": rung,
        "batch": args.batch,
        "seconds": made.seconds,
        "images_per_second": steps * args.batch / taken,
        "milliseconds": 1e3 * taken / steps,
        "kernels": hlo.launches(made.call.as_text() or "") / part.steps,
        "step_flops": made.step_flops,
    }


if __name__ == "__main__":
    running.run(main)
