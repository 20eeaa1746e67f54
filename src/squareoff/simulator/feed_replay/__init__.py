"""Recorded feeds played through the whole engine, on paper and in virtual time."""
