"""Every fact about Hermes, upstream's agent."""
