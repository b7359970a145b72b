"""Intervals, calibration and scores: numpy and scipy alone."""
