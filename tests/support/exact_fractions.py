"""The standard library's `Fraction` by GMP: the same numbers, many times quicker."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fractions import Fraction
else:
    from gmpy2 import mpq as Fraction

__all__ = ["Fraction"]
