"""Write a run's report again: `tljax report` from a checkout."""

from tljax.commands import report, running

if __name__ == "__main__":
    running.run(report.main)
