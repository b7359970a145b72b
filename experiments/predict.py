"""Classify photographs with a run: `tljax predict` from a checkout."""

from tljax.commands import cli, predict

if __name__ == "__main__":
    cli.run(predict.main)
