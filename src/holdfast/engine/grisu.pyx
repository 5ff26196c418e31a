"""Grisu2: from a double to the few decimal digits that read back as it.

What this is: the algorithm of Florian Loitsch, "Printing Floating-Point
Numbers Quickly and Accurately with Integers" (PLDI 2010), section 5, on 64-bit
integers. It always reads back equal, and is the shortest such text for more
than 99 values in 100; for the rest it may give a digit more.

What this is not: the last word in shortness. Redis answers with Grisu2's
digits, so these are the bytes that clients and replicas compare with.

How to read it: a float here is (fraction, exponent) = fraction * 2**exponent.
The value and its two neighbours' midpoints are scaled by a cached power of ten
into a fixed range of exponents; digits are then taken from the upper bound
until what is left lies within the bounds, and the last one is walked back
towards the value.
"""

from libc.stdint cimport uint64_t
from libc.string cimport memcpy

cdef extern from *:
    """
    static inline unsigned long long hf_high_product(unsigned long long a, unsigned long long b) {
        return (unsigned long long)(((unsigned __int128)a * b + (1ULL << 63)) >> 64);
    }
    #define hf_leading_zeros(x) __builtin_clzll(x)
    """
    uint64_t hf_high_product(uint64_t a, uint64_t b) noexcept nogil
    int hf_leading_zeros(uint64_t x) noexcept nogil

cdef enum:
    POWERS = 87                 # 10**-348, 10**-340 ... 10**340
    POWER_FIRST = -348
    POWER_STEP = 8
    SCALED_EXPONENT_MIN = -60   # after scaling: at most 32 integral bits, digits fit
    BIAS = 1075

# Constants, computed once at import with exact integers.
cdef uint64_t POWER_FRACTION[POWERS]
cdef int POWER_EXPONENT[POWERS]
cdef uint64_t TENS[20]


def _compute_constants() -> None:
    for index in range(20):
        TENS[index] = 10 ** index
    for index in range(POWERS):
        decimal = POWER_FIRST + POWER_STEP * index
        numerator, denominator = (10 ** decimal, 1) if decimal >= 0 else (1, 10 ** -decimal)
        # The binary exponent for which the rounded fraction has exactly 64 bits.
        binary = numerator.bit_length() - denominator.bit_length() - 64
        while True:
            scaled_up = numerator << -binary if binary < 0 else numerator
            scaled_down = denominator << binary if binary > 0 else denominator
            fraction = (2 * scaled_up + scaled_down) // (2 * scaled_down)
            if fraction.bit_length() <= 64:
                break
            binary += 1
        POWER_FRACTION[index] = fraction
        POWER_EXPONENT[index] = binary


_compute_constants()


cdef inline void walk_back(
    char* last, uint64_t delta, uint64_t rest, uint64_t unit, uint64_t distance
) noexcept nogil:
    """Lower the last digit while that brings the text nearer to the value and stays within bounds."""
    while rest < distance and delta - rest >= unit and (
        rest + unit < distance or distance - rest > rest + unit - distance
    ):
        last[0] -= 1
        rest += unit


cdef int grisu_digits(double value, char* digits, int* exponent) noexcept nogil:
    cdef uint64_t bits, fraction, upper, lower, power, delta, distance
    cdef uint64_t mask, whole, part, rest, divisor, scale
    cdef int binary, upper_binary, shift, index, one, place, count = 0
    cdef unsigned digit

    memcpy(&bits, &value, 8)
    fraction = bits & 0x000FFFFFFFFFFFFFULL
    binary = <int>((bits >> 52) & 0x7FF)
    if binary:
        fraction |= 1ULL << 52
        binary -= BIAS
    else:
        binary = 1 - BIAS

    # Midpoints to the neighbours, on the upper one's exponent.
    upper = (fraction << 1) + 1
    shift = hf_leading_zeros(upper)
    upper_binary = binary - 1 - shift
    upper <<= shift
    if fraction == 1ULL << 52:      # the neighbour below a power of two is half as far
        lower = ((fraction << 2) - 1) << (binary - 2 - upper_binary)
    else:
        lower = ((fraction << 1) - 1) << (binary - 1 - upper_binary)
    fraction <<= binary - upper_binary

    # The smallest cached power that lifts the exponent into range: 8 decades
    # are 26.6 bits, so the guess is a little low and the loop short.
    index = <int>((-(upper_binary + 87) * 0.30102999566398114 - POWER_FIRST) / POWER_STEP)
    if index < 0:
        index = 0
    while upper_binary + POWER_EXPONENT[index] + 64 < SCALED_EXPONENT_MIN:
        index += 1
    power = POWER_FRACTION[index]
    one = -(upper_binary + POWER_EXPONENT[index] + 64)
    fraction = hf_high_product(fraction, power)
    upper = hf_high_product(upper, power) - 1
    lower = hf_high_product(lower, power) + 1
    exponent[0] = -(POWER_FIRST + POWER_STEP * index)

    delta = upper - lower
    distance = upper - fraction
    mask = (1ULL << one) - 1
    whole = upper >> one
    part = upper & mask
    place = 10
    while place > 0:
        place -= 1
        divisor = TENS[place]
        digit = <unsigned>(whole / divisor)
        whole -= digit * divisor
        if digit or count:
            digits[count] = <char>(48 + digit)
            count += 1
        rest = (whole << one) + part
        if rest <= delta:
            exponent[0] += place
            walk_back(digits + count - 1, delta, rest, divisor << one, distance)
            return count
    scale = 1
    while True:
        part *= 10
        delta *= 10
        scale *= 10
        place -= 1
        digit = <unsigned>(part >> one)
        if digit or count:
            digits[count] = <char>(48 + digit)
            count += 1
        part &= mask
        if part < delta:
            exponent[0] += place
            walk_back(digits + count - 1, delta, part, 1ULL << one, distance * scale)
            return count
