"""Cross-validate a head on saved features: `tljax cross-validate` from a checkout."""

from tljax.commands import cross_validate, running

if __name__ == "__main__":
    running.run(cross_validate.main)
