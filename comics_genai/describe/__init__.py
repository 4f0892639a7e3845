"""Describe a set of drawings before training: framing, likeness, colours, and what the set does not show."""
