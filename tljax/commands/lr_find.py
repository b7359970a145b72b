"""Run the learning-rate range test on a rung: its curve, with the rates it suggests.

    tljax lr-find --rung finetune --weights base.safetensors --seeds 3

The rungs it builds on are trained first, from 4 views of each photograph unless --views says how
many. Leaves lr_find.png and lr_find.json; "valley" is what lr="find" would take. A curve that does
not fall by more than its noise suggests nothing.
"""

import argparse
from pathlib import Path

from tljax import config, report
from tljax.climb import ladder
from tljax.commands import cli, options, runner
from tljax.commands.climb.onward import say_open
from tljax.data.examples import Sets
from tljax.files import disk
from tljax.machine import processes
from tljax.machine.hushed import hushed
from tljax.machine.provenance import environment
from tljax.models.build import Network
from tljax.optim.schedules import Sweep
from tljax.report.pictures.lr_curve import across, mean_rate, write_lr_curve
from tljax.runs.workdir import Workdir
from tljax.train import lr_finder, setup
from tljax.train.source import Source

VIEWS = 4  # of a photograph: a rate is found to a factor, and most of the time goes into views


def main() -> None:
    """Run the command."""
    args = options.parsed(_parser())
    sweep = Sweep(args.low, args.high, linear=args.linear)
    runner.refuse_finished(args, Path("runs/lr_find"), "lr_find.json")
    names = [*_rungs_below(args.rung), args.rung]
    stages = {
        name: (options.network_of(name, args), options.stage_of(name, args)) for name in names
    }
    network, stage = stages[args.rung]
    stages[args.rung] = network, lr_finder.of_steps(stage, args.steps)  # views for them alone
    with (
        hushed(args.quiet),
        runner.begin(args, stages, experiment="lr_find", most_views=VIEWS) as (
            workdir,
            source,
            stages,
        ),
    ):
        findings = {
            seed: find(args, stages, source, seed=seed, sweep=sweep, workdir=workdir)
            for seed in options.seeds_of(args)
        }
    for listener in workdir.listeners:
        listener.close()
    if processes.first():
        _write(args, source.sets, findings, workdir.path)
        page = report.write_report(workdir.path)[-1]
        print(page)
        if not args.quiet:
            print()
            if all(finding.suggestions for finding in findings.values()):
                print(f"tljax {args.rung} --lr RATE ...    # the same options, a rate from above")
            say_open(page)


def find(
    args: argparse.Namespace,
    stages: dict[str, tuple[Network, config.Stage]],
    source: Source,
    *,
    seed: int,
    sweep: Sweep,
    workdir: Workdir,
) -> lr_finder.Finding:
    """Train all but the last of these rungs, and test the rates of the last."""
    *below, (name, (network, stage)) = stages.items()
    done = ladder(dict(below), source, seeds=[seed], workdir=workdir)[seed]
    before = done.get(config.STARTS_FROM.get(name, ""))
    ready = setup.prepare(stage, network, source, seed=seed, before=before)
    return lr_finder.find(
        stage, ready, seed=seed, sweep=sweep, steps=args.steps, progress=source.progress
    )


def _rungs_below(rung: str) -> list[str]:
    below = config.STARTS_FROM.get(rung)
    return [*_rungs_below(below), below] if below else []


def _write(
    args: argparse.Namespace, sets: Sets, findings: dict[int, lr_finder.Finding], workdir: Path
) -> None:
    suggested = {name: mean_rate(rates) for name, rates in across(findings).items()}
    document = {
        "rung": args.rung,
        "arguments": {
            name: str(value) if isinstance(value, Path) else value
            for name, value in vars(args).items()
        },
        "data": {"source": sets.name, "digest": sets.digest},
        "environment": environment(),
        "suggestions": suggested,
        "seeds": {seed: finding.to_dict() for seed, finding in findings.items()},
    }
    disk.write_json(workdir / "lr_find.json", document)
    picture = write_lr_curve(args.rung, findings, workdir=workdir, linear=args.linear)
    for name, rate in suggested.items():
        print(f"{name:<12}{rate:.2e}")
    for seed, finding in findings.items():
        if not finding.suggestions:
            print(f"seed {seed}: no rate to be found: {lr_finder.why_none(finding)}")
    print(f"\n{picture}")


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(__doc__, experiment="lr_find")
    add = parser.add_argument
    add(
        "--rung",
        choices=config.STEPPED,
        default="finetune",
        help="whose rates are tested (finetune)",
    )
    sweep, steps = lr_finder.SWEEP, lr_finder.STEPS
    add(
        "--low",
        type=cli.fraction,
        default=sweep.low,
        metavar="RATE",
        help=f"the first rate ({sweep.low:g})",
    )
    add(
        "--high",
        type=cli.fraction,
        default=sweep.high,
        metavar="RATE",
        help=f"the last rate ({sweep.high:g})",
    )
    add("--linear", action="store_true", help="equal differences between rates, not equal factors")
    add(
        "--steps",
        type=cli.positive,
        default=steps,
        metavar="N",
        help=f"steps from the first rate to the last ({steps})",
    )
    return parser
