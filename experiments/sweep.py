"""Train a head with many seeds and rates: `tljax sweep` from a checkout."""

from tljax.commands import running, sweep

if __name__ == "__main__":
    running.run(sweep.main)
