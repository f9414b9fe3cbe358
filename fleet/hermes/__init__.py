"""Facts about Hermes, the upstream agent."""
