"""The benchmark: tljax beside PyTorch and Keras on the same work."""
