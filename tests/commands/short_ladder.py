"""The ladder in two epochs of two steps, where rounding has no time to grow;
its words follow the name of this file.
"""

from dataclasses import replace

from tljax import config
from tljax.commands import runner, running
from tljax.commands.climb.rung import named

SHORT = {"epochs": 2, "images_per_epoch": 16, "batch_size": 8}


def views(stage):
    """Two where there are any; what is solved has one."""
    return stage.views and (2 if stage.solver == "steps" else 1)


if __name__ == "__main__":
    stages = config.PRESETS["tuned"].items()
    config.PRESETS["tuned"] = {
        n: replace(stage, **SHORT, views=views(stage)) for n, stage in stages
    }
    running.run(lambda: runner.main("The ladder.", experiment="ladder", rungs=named(config.RUNGS)))
