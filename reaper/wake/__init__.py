"""Gets a family's agent running, once, whoever asks."""
