"""`squareoff bench`: figures on request, each beside a floor measured in the same run."""

from squareoff.cli.bench.command import register

__all__ = ["register"]
