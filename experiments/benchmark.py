"""Time tljax beside its peers: `tljax benchmark` from a checkout."""

from tljax.commands import benchmark, running

if __name__ == "__main__":
    running.run(benchmark.main)
