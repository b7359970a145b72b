"""Time tljax beside its peers: `tljax benchmark` from a checkout."""

from tljax.commands import benchmark, cli

if __name__ == "__main__":
    cli.run(benchmark.main)
