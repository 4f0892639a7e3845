"""Measure generated pictures: identity, pose, copying, with intervals and comparisons."""
