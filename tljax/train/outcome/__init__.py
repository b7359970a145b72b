"""What a stage leaves: the classifier, its predictions, and what is wrong with it."""
