"""exp and log of rows of numbers, and sums over them, in a form that compilers turn into vector instructions.

The mathematical library takes numbers one by one; these take a whole vector register.  Both are good to about
2e-16 relative (exp) and 1 unit in the last place (log); what they do with infinities and NaN is said at each.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["add_free", "compile_rows", "exponential", "logarithm", "smaller"]

primitive: Any = intrinsic
"""Untyped: the functions it decorates are called with numbers, and never with the context that they name."""

compile_rows = numba.njit(
    cache=True, nogil=True, forceinline=True, error_model="numpy", fastmath={"contract", "nsz"}
)
"""Functions that are part of whoever calls them, always.

Else a process that compiles a kernel and one that loads it compiled would link different copies of what it calls,
optimised apart from each other: the same numbers, but for their last bits.

'contract' allows fused multiply-add.  Full fastmath would fold the roundings below and assume no NaN."""

_compile_sum = numba.njit(
    cache=True, nogil=True, forceinline=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc"}
)


@primitive
def _bits(context: Any, number: Any) -> Any:
    """Bits of a number, as an integer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), generate


@primitive
def _number(context: Any, bits: Any) -> Any:
    """Make the number with these bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


@primitive
def _shifted_right(context: Any, bits: Any, places: Any) -> Any:
    """Shift towards the low end, zeros coming in: AVX2 has no other shift of 64 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.lshr(arguments[0], arguments[1])

    return types.int64(types.int64, types.int64), generate


@primitive
def smaller(context: Any, left: Any, right: Any) -> Any:
    """Smaller of two numbers that are not NaN: saying so lets compilers take the minimum of a row in lanes."""
    flags = ["nnan", "nsz"]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        is_less = builder.fcmp_ordered("<", *arguments, flags=flags)
        return builder.select(is_less, *arguments, flags=flags)

    return types.float64(types.float64, types.float64), generate


@_compile_sum
def add_free(total, number):  # type: ignore[no-untyped-def]
    """Add to a running sum whose order is free, so that it can be kept in several lanes."""
    return total + number


MAGIC = 6755399441055744.0
"""1.5 x 2^52: adding it rounds to whole numbers, which then stand in the lowest bits."""

LOG2_E = 1.4426950408889634
LN2_HIGH = 6.93147180369123816490e-01
LN2_LOW = 1.90821492927058770002e-10
LEAST_EXPONENT = -708.0


@compile_rows
def exponential(x):  # type: ignore[no-untyped-def]
    """e^x for x <= 700; 0 below -708, NaN of NaN.

    e^x = 2^n e^r with |r| <= ln(2) / 2, e^r by its series to r^12.
    """
    shifted = x * LOG2_E + MAGIC
    n = shifted - MAGIC
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    p = 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    scaled = _number(_bits(p) + (_bits(shifted) << 52))
    return 0.0 if x < LEAST_EXPONENT else scaled  # whatever it is there


ROOT_HALF_BITS = np.int64(0x3FE6A09E667F3BCD)
BIAS = np.int64(1023 << 52)
WHOLE_BITS = np.int64(0x4330000000000000)
"""Bits of 2^52: with a small whole number in the lowest bits they make 2^52 plus that number."""

WHOLE_OFFSET = 4503599627370496.0 + 1023.0


@compile_rows
def logarithm(x):  # type: ignore[no-untyped-def]
    """Natural logarithm of a normal number above 0; anything of 0, infinities, NaN and denormals.

    x = 2^k m with sqrt(1/2) <= m < sqrt(2); ln m = 2 atanh(s), s = (m - 1) / (m + 1), by its series: the
    coefficients 2 / (2 j + 1), bent to the minimax ones of this interval at the end.
    """
    bits = _bits(x)
    k = _shifted_right(bits - ROOT_HALF_BITS + BIAS, 52)
    exponent = _number(k | WHOLE_BITS) - WHOLE_OFFSET
    m = _number(bits - (k << 52) + BIAS)
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = 1.479819860511658591e-01
    p = p * z + 1.531383769920937332e-01
    p = p * z + 1.818357216161805012e-01
    p = p * z + 2.222219843214978396e-01
    p = p * z + 2.857142874366239149e-01
    p = p * z + 3.999999999940941908e-01
    p = p * z + 6.666666666666735130e-01
    p = p * z
    half = 0.5 * f * f
    return exponent * LN2_HIGH + (f - (half - (s * (half + p) + exponent * LN2_LOW)))
