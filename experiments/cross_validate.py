"""Cross-validate a head on saved features: `tljax cross-validate` from a checkout."""

from tljax.commands import cli, cross_validate

if __name__ == "__main__":
    cli.run(cross_validate.main)
