"""What generated pictures are worth."""
