"""Look inside what a run has trained: `tljax inside` from a checkout."""

from tljax.commands import cli, inside

if __name__ == "__main__":
    cli.run(inside.main)
