"""What the commands of the ladder share: rungs, what is said as they end, and what follows."""
