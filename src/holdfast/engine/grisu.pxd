# Grisu2: decimal digits of a double, as Redis 7.2 and later derive them.

# Digits (1 to 17, no leading or trailing rules applied) of a finite value > 0
# at `digits` (room for 18); the value is digits * 10**(*exponent).
cdef int grisu_digits(double value, char* digits, int* exponent) noexcept nogil
