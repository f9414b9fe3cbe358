"""A stand-in for the official docker provider where that one cannot be downloaded.

It speaks the `docker` package for the resources and properties that this project declares, and refuses the rest.
"""
