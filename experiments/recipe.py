"""Train a plan of several stages: `tljax recipe` from a checkout."""

from tljax.commands import cli, recipe

if __name__ == "__main__":
    cli.run(recipe.main)
