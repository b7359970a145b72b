"""Compare runs on one page: `tljax compare` from a checkout."""

from tljax.commands import compare, running

if __name__ == "__main__":
    running.run(compare.main)
