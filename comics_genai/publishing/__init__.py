"""Runs and drawings to and from the Hub, and to other programs; and the gallery that shows the pictures."""
