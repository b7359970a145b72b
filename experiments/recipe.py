"""A plan of several stages: its table and its schedules first, then its training.

    python -m experiments.recipe --plan full --weights base.safetensors --seeds 3

Plans: full (head, block 5, everything at differential rates, each under 1-cycle), fine_tune (fastai's lengths and
rates), gradual (one block more in each stage).
"""

from dataclasses import replace

import jax.numpy as jnp

from experiments import cli, runner
from tljax import recipe
from tljax.config import HEAD_ONLY, Plan, Stage
from tljax.data.augment import Augment
from tljax.models.build import Network
from tljax.report.plan import plan_table
from tljax.report.planned import read_planned
from tljax.report.schedules import write_schedules
from tljax.train import plan as plan_lib
from tljax.train import processes, rung
from tljax.train.outlook import outlook
from tljax.train.workdir import scaled

GRADUAL = Stage(
    "", HEAD_ONLY, 1e-3, epochs=3, optimizer=recipe.ADAM, images_per_epoch=1600, augment=Augment(), views=16
)
PLANS = {
    "full": recipe.full_recipe(),
    "fine_tune": recipe.fine_tuning(epochs=10, freeze_epochs=2),
    "gradual": recipe.gradual_unfreezing(GRADUAL),
}


def main() -> None:
    """The command."""
    parser = runner.parser(__doc__, experiment="recipe")
    parser.add_argument("--plan", choices=sorted(PLANS), default="full", help="which one (full)")
    args = parser.parse_args()
    plan = _plan(PLANS[args.plan], budget=args.budget, views=args.views)
    stages = {stage.name: (Network(), stage) for stage in plan.stages}
    workdir, sets, weights = runner.begin(args, stages, experiment="recipe")
    network = replace(Network(), width=rung.width_of(weights)) if weights else Network()
    print(plan_table(outlook(plan, network, sets)), flush=True)
    if processes.first():
        print(write_schedules(read_planned(workdir.path), workdir=workdir.path), flush=True)
    for seed in range(args.seed, args.seed + args.seeds):
        plan_lib.train_plan(
            plan,
            network,
            sets,
            seed=seed,
            store=workdir.features,
            weights=weights,
            dtype=jnp.dtype(args.dtype),
            on_epoch=lambda record, state: workdir.log(record),
            kept=lambda stage, seed=seed: workdir.kept(stage.name, seed=seed),
            on_stage=lambda stage, done, seed=seed: workdir.finish(stage.name, done, seed=seed, stage=stage, sets=sets),
            progress=not args.quiet,
        )
    runner.finish(workdir, sets)


def _plan(plan: Plan, *, budget: float, views: int | None) -> Plan:
    stages = [scaled(stage, budget=budget) for stage in plan.stages]
    if views is not None:
        stages = [replace(stage, views=views or None) if stage.views else stage for stage in stages]
    return replace(plan, stages=tuple(stages))


if __name__ == "__main__":
    cli.run(main)
