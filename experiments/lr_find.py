"""Find a learning rate by the range test: `tljax lr-find` from a checkout."""

from tljax.commands import cli, lr_find

if __name__ == "__main__":
    cli.run(lr_find.main)
