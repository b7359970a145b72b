"""Classify photographs with a run: `tljax predict` from a checkout."""

from tljax.commands import predict, running

if __name__ == "__main__":
    running.run(predict.main)
