"""The inputs of a stage: photographs, or activations of a frozen prefix."""
