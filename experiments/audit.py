"""Audit what a stage trains and costs: `tljax audit` from a checkout."""

from tljax.commands import audit, running

if __name__ == "__main__":
    running.run(audit.main)
