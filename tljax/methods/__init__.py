"""Beside the ladder: multitask, domain adaptation, transferability."""
