"""Train a head with many seeds and rates: `tljax sweep` from a checkout."""

from tljax.commands import cli, sweep

if __name__ == "__main__":
    cli.run(sweep.main)
