"""One look at the whole fleet, and what follows from it."""
