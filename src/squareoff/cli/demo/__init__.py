"""`squareoff demo`: one command that shows the whole thing working, and proves it."""

from squareoff.cli.demo.command import register

__all__ = ["register"]
