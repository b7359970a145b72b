"""Train a plan of several stages: `tljax recipe` from a checkout."""

from tljax.commands import recipe, running

if __name__ == "__main__":
    running.run(recipe.main)
