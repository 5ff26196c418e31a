# Proof that a compact value from outside is sound: its layout, and that no member comes twice.

from libc.stdint cimport uint8_t
from holdfast.engine.table cimport HashKey

# What must hold beside the layout.
cdef enum Shape:
    LOOSE = 0               # elements that may be equal
    MEMBERS = 1             # no element twice
    PAIRS = 2               # member, value, ...: no member twice
    SCORED = 3              # member, score, ...: and scores that rise strictly

cdef enum Proof:
    UNSURE = 0              # ask `lp_valid` and `has_twins`
    SOUND = 1

# One walk over `n` bytes that are to be a listpack: what is common is proved sound, the rest is unsure.
cdef int prove_at_a_glance(const uint8_t* p, size_t n, int shape) noexcept nogil
# Whether a listpack of sound layout holds an element (of pairs: a first one) twice.
cdef bint has_twins(uint8_t* lp, bint pairs, HashKey* seed) noexcept nogil
