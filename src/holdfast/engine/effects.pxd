# The effects stream: what AOF and replicas get of each change.
#
# A command that changed something propagates as the client sent it, unless its
# handler gave effects of its own (then only those). Effects of one EXEC or
# script are a unit, framed by MULTI and EXEC when there is more than one.

from libc.stdint cimport int64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.state cimport Call, Engine

# One explicit effect of the running command: begin, then argc arguments.
cdef void effect_begin(Engine e, int db, int argc) noexcept
cdef void effect_arg(Engine e, const char* p, size_t n) noexcept
cdef void effect_slice(Engine e, Slice s) noexcept
cdef void effect_int(Engine e, int64_t value) noexcept
# NAME key
cdef void effect_key(Engine e, int db, const char* name, Slice key) noexcept
# The running command changed something that nobody else needs to know.
cdef void effect_none(Engine e) noexcept
# An effect that happens beside the running command (expiry, eviction) and does not replace it.
cdef void effect_aside(Engine e, int db, const char* name, Slice key) noexcept
# The request itself, as it came.
cdef void effect_request(Engine e, int db, Call* c) noexcept
cdef void unit_open(Engine e) noexcept
cdef void unit_close(Engine e) noexcept
# Bytes of this tick's stream that are older than the open unit.
cdef size_t effects_before_unit(Engine e) noexcept nogil

# Who takes effects where they stand; other takers are called with them as bytes.
cdef class EffectSink:
    cdef int take_effects(self, const char* p, size_t n) except -1

# Hand the effects there are to these takers, in their order, and begin anew.
cdef int hand_out(Engine e, list sinks) except -1
