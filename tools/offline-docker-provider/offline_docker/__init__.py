"""A stand-in for the official docker provider where that one cannot be downloaded: just what this project declares."""
