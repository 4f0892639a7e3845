"""Upload runs and drawings to the Hub, export adapters to other programs, and build the gallery of pictures."""
