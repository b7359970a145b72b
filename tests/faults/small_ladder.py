"""The ladder, cut short and saved after every segment;
the words of the command follow the name of this file.
"""

from dataclasses import replace

from tljax import config
from tljax.models import ops

config.CHECKPOINT_SECONDS = 0.0  # before the saver is imported, which takes it as its default
ops.compiler_options = lambda: {"xla_backend_optimization_level": 0}
SHORT = {"epochs": 2, "images_per_epoch": 6, "batch_size": 3}
config.PRESETS["tuned"] = {
    name: replace(stage, **SHORT, views=2 if stage.views else None)
    for name, stage in config.PRESETS["tuned"].items()
    if stage.solver == "steps"
}

if __name__ == "__main__":
    from tljax.commands import runner, running
    from tljax.commands.climb.rung import named

    running.run(
        lambda: runner.main(
            "The ladder.", experiment="ladder", rungs=named(["features", "frozen", "finetune"])
        )
    )
