"""The result of a stage: the classifier, its predictions, and what is wrong with it."""
