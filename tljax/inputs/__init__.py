"""What a stage reads: photographs, or activations of a frozen prefix."""
