"""Text-to-image bases, and what a fine-tuning adds to one."""
