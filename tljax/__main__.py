"""`python -m tljax`, as the console script `tljax`."""

from tljax.commands.door import main

main()
