"""Memory and time of a fine-tuning, before it begins."""
