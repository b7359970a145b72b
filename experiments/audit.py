"""Audit what a stage trains and costs: `tljax audit` from a checkout."""

from tljax.commands import audit, cli

if __name__ == "__main__":
    cli.run(audit.main)
