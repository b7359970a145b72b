"""Look after this machine: its devices, and what is kept on its disk."""
