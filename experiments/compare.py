"""Compare runs on one page: `tljax compare` from a checkout."""

from tljax.commands import cli, compare

if __name__ == "__main__":
    cli.run(compare.main)
