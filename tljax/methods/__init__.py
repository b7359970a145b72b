"""Methods outside the ladder: multitask training, domain adaptation, transferability."""
