"""What a set of drawings holds before anything is learnt from it: framing, likeness, colours, and what it lacks."""
