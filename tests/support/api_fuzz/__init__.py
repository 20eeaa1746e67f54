"""Calls made up from the API's own OpenAPI document, always the same ones."""

from api_fuzz.calls import CHECKS, fuzz_all, operations_of, without_waiting
from api_fuzz.report import write_report

__all__ = ["CHECKS", "fuzz_all", "operations_of", "without_waiting", "write_report"]
