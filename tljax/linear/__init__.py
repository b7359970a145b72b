"""Logistic regression, solved."""
