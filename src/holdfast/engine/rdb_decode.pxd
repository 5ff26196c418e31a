# Values in RDB form, read into their final shape; any bytes may come in.
#
# A Decoder reads from a window of bytes. `decode_value` says DECODED, or
# NEEDS_MORE (call again with a window that goes on from `at`), or FAULTY.
# Large values are taken element by element, so the window need not hold more
# than one string.

from libc.stdint cimport int64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.keyspace cimport Database, Keyspace
from holdfast.engine.rdb_window cimport Decoder
from holdfast.engine.record cimport Record
from holdfast.engine.state cimport Engine

cdef void decoder_init(Decoder* d, Engine e) noexcept
# Free what is under way or was not taken over, and the scratch.
cdef void decoder_clear(Decoder* d) noexcept nogil
cdef int decode_value(Decoder* d, int type) noexcept nogil
# Free a decoded value that nobody wants.
cdef void drop_decoded(Decoder* d) noexcept nogil
# Put the decoded value under a key (replacing what is there).
cdef Record* store_decoded(Decoder* d, Keyspace* ks, Database* db, Slice key, int64_t at_ms) noexcept
# What a type byte that is no value of ours stands for.
cdef const char* foreign_type(int type) noexcept nogil
