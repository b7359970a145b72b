"""Pretrain a base on a source task: `tljax pretrain` from a checkout."""

from tljax.commands import cli, pretrain

if __name__ == "__main__":
    cli.run(pretrain.main)
