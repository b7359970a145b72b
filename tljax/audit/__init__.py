"""Audit what a step trains and costs."""
