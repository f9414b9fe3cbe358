"""The domain of hermes-fleet: what a family is, what its container holds, and what a host shows of it."""

__version__ = "0.1.0"
