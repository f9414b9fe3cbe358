"""Measures what the fleet costs over the engine itself: `python -m benchmarks`."""
