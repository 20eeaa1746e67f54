"""Deterministic simulation in virtual time: the real engine against the simulated broker."""
