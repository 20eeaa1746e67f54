"""Levels and times that fire an exit."""
