"""Score a base's blocks before any training: `tljax transferability` from a checkout."""

from tljax.commands import cli, transferability

if __name__ == "__main__":
    cli.run(transferability.main)
