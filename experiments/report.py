"""Write a run's report again: `tljax report` from a checkout."""

from tljax.commands import cli, report

if __name__ == "__main__":
    cli.run(report.main)
