"""Keys in great number for tests, and where elements of lists stand alone.

What it is: what DEBUG POPULATE and DEBUG QUICKLIST-PACKED-THRESHOLD do. What it is
not: commands that data go through: nothing here reaches AOF or replicas.
"""

from libc.string cimport memcpy, memset
from holdfast.engine.buf cimport Buf, Slice, buf_free, buf_reserve
from holdfast.engine.events cimport touch_watched
from holdfast.engine.keyspace cimport Database, ks_set_string, ks_write
from holdfast.engine.numbers cimport format_int64
from holdfast.engine.state cimport Engine, Session
from holdfast.engine.table cimport table_expand

cdef enum:
    KEY_BYTES_MOST = 127        # Redis cuts longer ones
    NUMBER_BYTES = 24


def populate(Session session not None, long keys, bytes prefix not None, size_t value_bytes):
    """Add `prefix:0` and so on, each with its number as value; keys that are there stay."""
    cdef Engine e = session.engine
    cdef Database* db = session.db
    cdef Buf name, value
    cdef Slice key
    cdef size_t head = min(len(prefix), KEY_BYTES_MOST), n
    cdef long number
    memset(&name, 0, sizeof(Buf))
    memset(&value, 0, sizeof(Buf))
    buf_reserve(&name, head + 1 + NUMBER_BYTES)
    buf_reserve(&value, value_bytes + 6 + NUMBER_BYTES)
    memcpy(name.ptr, <const char*>prefix, head)
    name.ptr[head] = c':'
    memset(value.ptr, 0, value_bytes + 6 + NUMBER_BYTES)
    memcpy(value.ptr, b"value:", 6)
    if db.tables == 1:
        table_expand(&e.ks.heap, db.table, db.keys + keys)
    for number in range(keys):
        n = format_int64(name.ptr + head + 1, number)
        key.ptr = name.ptr
        key.len = min(head + 1 + n, <size_t>KEY_BYTES_MOST)
        if ks_write(&e.ks, db, key) != NULL:
            continue
        memcpy(value.ptr + 6, name.ptr + head + 1, n)
        ks_set_string(&e.ks, db, key, value.ptr, value_bytes if value_bytes else 6 + n, -1, False)
        touch_watched(e, db, key)
    buf_free(&name)
    buf_free(&value)


def set_packed_threshold(Session session not None, size_t element_bytes):
    """Let list elements of so many bytes stand alone from now on; 0: as the list's own limit says."""
    session.engine.ks.heap.plain_from = element_bytes
