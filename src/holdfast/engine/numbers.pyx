"""Text to number and back, byte for byte as Redis does it.

What this is: the one place where digits are read and written. Strict integers
decide between integer and text encodings, so "what reads as an integer is
written back the same" must hold exactly; doubles and long doubles go over the
wire and into replicas, so their text must be Redis's own.

What this is not: lenient. No spaces, no locale (a decimal point is a point
whatever the process around us has set), no partial reads.

How to read it: integers, then doubles, then long doubles; the reader stands
before the writer. Digits of doubles that are not integers come from grisu.
"""

from libc cimport errno
from libc.math cimport INFINITY, isinf, isnan, signbit
from libc.stdint cimport INT64_MAX, int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport abort, free, malloc, strtod
from libc.string cimport memcpy, memset

from holdfast.engine.grisu cimport grisu_digits

cdef extern from *:
    """
    #include <locale.h>
    #include <stdlib.h>
    #if defined(__APPLE__)
    #include <xlocale.h>
    #endif
    """
    ctypedef void* locale_t
    int LC_NUMERIC_MASK
    locale_t newlocale(int mask, const char* name, locale_t base) noexcept nogil
    locale_t uselocale(locale_t locale) noexcept nogil
    long double strtold(const char* text, char** end) noexcept nogil

cdef enum:
    INT64_TEXT_MAX = 20             # "-9223372036854775808"
    LONG_DOUBLE_TEXT_MAX = 5119     # Redis reads no longer ones
    STACK_TEXT_MAX = 255

cdef const char* DIGIT_PAIRS = (
    b"0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
    b"5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899"
)
# Powers of ten that a double holds exactly.
cdef double EXACT_TENS[23]
EXACT_TENS[:] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
]
cdef locale_t POINT_LOCALE = newlocale(LC_NUMERIC_MASK, b"C", NULL)


cdef bint parse_int64(const char* p, size_t n, int64_t* out) noexcept nogil:
    cdef const char* end = p + n
    cdef bint negative = False
    cdef uint64_t value
    cdef unsigned digit

    if n == 0 or n > INT64_TEXT_MAX:
        return False
    if p[0] == c'-':
        negative = True
        p += 1
        if n == 1:
            return False
    digit = <unsigned char>p[0] - 48
    if digit > 9:
        return False
    if digit == 0:
        if n != 1:          # "0" alone: neither "-0" nor leading zeros
            return False
        out[0] = 0
        return True
    value = digit
    p += 1
    while p < end:
        digit = <unsigned char>p[0] - 48
        if digit > 9:
            return False
        # 19 digits never overflow uint64; a 20th only without a sign, and is over INT64_MAX then.
        value = value * 10 + digit
        p += 1
    if negative:
        if value > <uint64_t>INT64_MAX + 1:
            return False
        out[0] = <int64_t>(0 - value)
        return True
    if n == INT64_TEXT_MAX or value > <uint64_t>INT64_MAX:
        return False
    out[0] = <int64_t>value
    return True


cdef size_t format_int64(char* p, int64_t value) noexcept nogil:
    cdef char text[24]
    cdef char* at = text + 24
    cdef uint64_t rest = <uint64_t>value
    cdef size_t n
    cdef unsigned pair

    if value < 0:
        rest = 0 - rest
    while rest >= 100:
        pair = <unsigned>(rest % 100)
        rest /= 100
        at -= 2
        memcpy(at, DIGIT_PAIRS + 2 * pair, 2)
    if rest >= 10:
        at -= 2
        memcpy(at, DIGIT_PAIRS + 2 * rest, 2)
    else:
        at -= 1
        at[0] = <char>(48 + rest)
    if value < 0:
        at -= 1
        at[0] = c'-'
    n = text + 24 - at
    memcpy(p, at, n)
    return n


cdef inline bint is_space(char c) noexcept nogil:
    return c == 32 or (c >= 9 and c <= 13)


cdef bint parse_plain_decimal(const char* p, size_t n, double* out) noexcept nogil:
    """Digits with at most a sign and a point, few enough for one exact division; else False."""
    cdef const char* end = p + n
    cdef bint negative = False, point = False
    cdef uint64_t mantissa = 0
    cdef unsigned digit, digits = 0, fraction_digits = 0

    if n > 17:
        return False
    if p[0] == c'-' or p[0] == c'+':
        negative = p[0] == c'-'
        p += 1
    while p < end:
        digit = <unsigned char>p[0] - 48
        if digit <= 9:
            mantissa = mantissa * 10 + digit
            digits += 1
            fraction_digits += point
        elif p[0] == c'.' and not point:
            point = True
        else:
            return False
        p += 1
    # Below 2**53 both operands are exact, so the quotient is the correctly rounded one.
    if digits == 0 or mantissa > (1ULL << 53):
        return False
    out[0] = <double>mantissa / EXACT_TENS[fraction_digits]
    if negative:
        out[0] = -out[0]
    return True


cdef bint parse_double(const char* p, size_t n, double* out) noexcept nogil:
    cdef char stack[STACK_TEXT_MAX + 1]
    cdef char* text = stack
    cdef char* end = NULL
    cdef double value
    cdef locale_t outer
    cdef bint whole, out_of_range

    if n == 0 or is_space(p[0]):
        return False
    if parse_plain_decimal(p, n, out):
        return True
    if n > STACK_TEXT_MAX:
        text = <char*>malloc(n + 1)
        if text == NULL:
            abort()
    memcpy(text, p, n)
    text[n] = 0
    outer = uselocale(POINT_LOCALE)
    errno.errno = 0
    value = strtod(text, &end)
    out_of_range = errno.errno == errno.ERANGE
    uselocale(outer)
    whole = <size_t>(end - text) == n
    if text != stack:
        free(text)
    if not whole or isnan(value):
        return False
    if out_of_range and (isinf(value) or value == 0):
        return False
    out[0] = value
    return True


cdef size_t format_double(char* p, double value) noexcept nogil:
    cdef char digits[18]
    cdef char* at = p
    cdef int count, exponent, point, magnitude

    if isnan(value):
        memcpy(p, b"nan", 3)
        return 3
    if signbit(value):
        at[0] = c'-'
        at += 1
        value = -value
    if isinf(value):
        memcpy(at, b"inf", 3)
        return at + 3 - p
    if value <= 4611686018427387904.0 and <double><int64_t>value == value:
        return at + format_int64(at, <int64_t>value) - p
    count = grisu_digits(value, digits, &exponent)
    point = count + exponent            # digits before the decimal point
    magnitude = point - 1
    if magnitude < 0:
        magnitude = -magnitude
    if exponent >= 0 and exponent <= 7:
        memcpy(at, digits, count)
        memset(at + count, c'0', exponent)
        return at + point - p
    if exponent < 0 and (exponent > -7 or magnitude < 4):
        if point <= 0:
            memcpy(at, b"0.", 2)
            memset(at + 2, c'0', -point)
            memcpy(at + 2 - point, digits, count)
            return at + 2 - point + count - p
        memcpy(at, digits, point)
        at[point] = c'.'
        memcpy(at + point + 1, digits + point, count - point)
        return at + count + 1 - p
    at[0] = digits[0]
    at += 1
    if count > 1:
        at[0] = c'.'
        memcpy(at + 1, digits + 1, count - 1)
        at += count
    at[0] = c'e'
    at[1] = c'-' if point < 1 else c'+'
    return at + 2 + format_int64(at + 2, magnitude) - p


cdef bint parse_long_double(const char* p, size_t n, long double* out) noexcept nogil:
    cdef char text[LONG_DOUBLE_TEXT_MAX + 1]
    cdef char* end = NULL
    cdef long double value
    cdef locale_t outer
    cdef int64_t number

    if n == 0 or n > LONG_DOUBLE_TEXT_MAX or is_space(p[0]):
        return False
    if parse_int64(p, n, &number):
        out[0] = <long double>number
        return True
    memcpy(text, p, n)
    text[n] = 0
    outer = uselocale(POINT_LOCALE)
    errno.errno = 0
    value = strtold(text, &end)
    uselocale(outer)
    if <size_t>(end - text) != n or value != value:
        return False
    if errno.errno == errno.ERANGE and (value == INFINITY or value == -INFINITY or value == 0):
        return False
    out[0] = value
    return True


cdef size_t format_long_double(char* p, long double value) noexcept nogil:
    cdef locale_t outer
    cdef size_t n

    if value != value:
        memcpy(p, b"nan", 3)
        return 3
    if value == INFINITY:
        memcpy(p, b"inf", 3)
        return 3
    if value == -INFINITY:
        memcpy(p, b"-inf", 4)
        return 4
    outer = uselocale(POINT_LOCALE)
    n = snprintf(p, 5200, b"%.17Lf", value)
    uselocale(outer)
    while p[n - 1] == c'0':
        n -= 1
    if p[n - 1] == c'.':
        n -= 1
    if n == 2 and p[0] == c'-' and p[1] == c'0':
        p[0] = c'0'
        n = 1
    return n
