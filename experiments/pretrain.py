"""Pretrain a base on a source task: `tljax pretrain` from a checkout."""

from tljax.commands import pretrain, running

if __name__ == "__main__":
    running.run(pretrain.main)
