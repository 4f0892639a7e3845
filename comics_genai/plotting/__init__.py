"""Figures, diagrams and tables in one style."""
