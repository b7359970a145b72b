"""A run's folder, written and read here."""
