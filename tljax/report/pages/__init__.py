"""The page of a run, and of many."""
