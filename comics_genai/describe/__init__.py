"""What a set of drawings shows before anything is learnt from it, and what it does not: framing, likeness, colours."""
