"""Checks of the source tree by reading it, never by importing it."""
