"""What to do with a family: the facts, and the rules."""
