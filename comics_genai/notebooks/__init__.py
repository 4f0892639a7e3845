"""Execute notebooks, and the code that their cells share."""
