"""What a step trains and costs."""
