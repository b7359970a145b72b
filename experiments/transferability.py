"""Score a base's blocks before any training: `tljax transferability` from a checkout."""

from tljax.commands import running, transferability

if __name__ == "__main__":
    running.run(transferability.main)
