"""Tasks: what is learnt of an example, and how it is scored."""
