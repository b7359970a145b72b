"""Find a learning rate by the range test: `tljax lr-find` from a checkout."""

from tljax.commands import lr_find, running

if __name__ == "__main__":
    running.run(lr_find.main)
