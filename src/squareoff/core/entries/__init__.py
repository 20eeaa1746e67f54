"""Positions before they are held: taken under watch, waiting for their entry."""
