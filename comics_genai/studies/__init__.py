"""Studies: a grid of methods, characters, seeds and settings becomes runs, and the runs one table."""
