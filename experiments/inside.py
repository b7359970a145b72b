"""Look inside what a run has trained: `tljax inside` from a checkout."""

from tljax.commands import inside, running

if __name__ == "__main__":
    running.run(inside.main)
