"""Bugs that a careless engineer could make, each with the check that must catch it."""
