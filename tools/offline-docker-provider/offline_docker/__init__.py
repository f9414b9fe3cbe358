"""Replaces the official docker provider where it cannot be downloaded; implements what this project declares."""
