"""The keys of one hash slot, in cluster mode: how many, which, away with them.

What it is: doors for CLUSTER COUNTKEYSINSLOT and GETKEYSINSLOT, and for a node that has lost a
slot. What it is not: who owns a slot (`holdfast.engine.slots`). Each slot has a table of its
own, so nothing is searched.
"""

from holdfast.engine.buf cimport Slice, slice_of
from holdfast.engine.effects cimport effect_aside, effect_none
from holdfast.engine.events cimport NOTIFY_GENERIC, notify, touch_watched
from holdfast.engine.keyspace cimport LAZY_OVERWRITE, Database, ks_dispose, ks_take
from holdfast.engine.record cimport Record, record_bytes, record_key_slice
from holdfast.engine.state cimport Engine
from holdfast.engine.table cimport Table, TableCursor, table_count, table_walk, table_walk_next


cdef enum:
    SAMPLES = 5             # of a value's members, to tell how large it is
    LARGE_BYTES = 1 << 16


cdef Table* table_of_slot(Engine e, int slot) except NULL:
    if e.ks.dbs.tables == 1 or not 0 <= slot < e.ks.dbs.tables:
        raise ValueError(f"no slot {slot}")
    return &e.ks.dbs.table[slot]


def count_keys_in_slot(Engine e, int slot):
    """Return how many keys a slot has."""
    return table_count(table_of_slot(e, slot))


def keys_in_slot(Engine e, int slot, Py_ssize_t limit):
    """Return up to `limit` keys of a slot."""
    cdef TableCursor walk
    cdef Record* r
    cdef Slice key
    cdef list found = []
    table_walk(table_of_slot(e, slot), &walk)
    while len(found) < limit:
        r = <Record*>table_walk_next(&walk)
        if r == NULL:
            break
        key = record_key_slice(r)
        found.append(key.ptr[:key.len])
    return found


def slots_with_keys(Engine e):
    """Return the slots that have keys, as a number with a bit a slot."""
    cdef int slot
    cdef bytearray bitmap = bytearray(2048)
    for slot in range(e.ks.dbs.tables):
        if table_count(&e.ks.dbs.table[slot]):
            bitmap[slot >> 3] |= 1 << (slot & 7)
    return int.from_bytes(bitmap, "little")


def delete_keys_in_slot(Engine e, int slot):
    """Delete all keys of a slot, as DEL would; return how many there were.

    Large ones are freed between ticks, at replicas too.
    """
    cdef Database* db = e.ks.dbs
    cdef bint lazily
    cdef Record* r
    cdef list names = keys_in_slot(e, slot, table_count(table_of_slot(e, slot)))
    cdef bytes name
    cdef Slice key
    for name in names:
        key = slice_of(name)
        r = ks_take(&e.ks, db, key)
        lazily = e.ks.lazy_flags & LAZY_OVERWRITE or record_bytes(r, SAMPLES) >= LARGE_BYTES
        ks_dispose(&e.ks, r, lazily)
        effect_aside(e, db.id, b"UNLINK" if lazily else b"DEL", key)
        touch_watched(e, db, key)
        notify(e, db, NOTIFY_GENERIC, b"del", key)
        e.dirty += 1
    if names:
        effect_none(e)      # where a command caused it, that is not for replicas to repeat
    return len(names)
