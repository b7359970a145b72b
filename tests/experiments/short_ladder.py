"""The ladder in two epochs of two steps, where rounding has no time to grow; its words follow the name of this file."""

from dataclasses import replace

from experiments import cli, runner
from tljax import config

SHORT = {"epochs": 2, "images_per_epoch": 16, "batch_size": 8}

if __name__ == "__main__":
    stages = config.PRESETS["tuned"].items()
    config.PRESETS["tuned"] = {n: replace(stage, **SHORT, views=2 if stage.views else None) for n, stage in stages}
    cli.run(lambda: runner.main("The ladder.", experiment="ladder", rungs=config.RUNGS))
