"""Prompts and seeds become pictures with records."""
