"""Decides what to do with a family: facts in, an action and its reason out."""
