"""OBJECT: how a value is held, and how long ago it was used (https://redis.io/commands/object/).

Values are not shared; REFCOUNT tells 1, and of small integers what Redis tells,
where they are. OBJECT looks at a key without touching it or counting a read.
"""

from holdfast.engine.buf cimport Slice
from holdfast.engine.keyspace cimport ks_is_expired, ks_peek
from holdfast.engine.recency cimport ks_frequency, ks_idle_seconds
from holdfast.engine.record cimport STR_INT, Record, encoding_name, kind_of
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport reply_error, reply_int, reply_null, reply_text
from holdfast.engine.state cimport Call, Engine, Session

from holdfast.commands.help import help_command
from holdfast.commands.spec import KeySpec, Spec
from holdfast.engine.registry import add_container, add_function

cdef enum:
    SHARED = 2147483647     # REFCOUNT of the small integers that Redis shares
    SHARED_NUMBERS = 10000


cdef Record* find(Session s, Slice key) noexcept:
    """The record; NULL: answered."""
    cdef Engine e = s.engine
    cdef Record* r = ks_peek(&e.ks, s.db, key)
    if r == NULL or ks_is_expired(&e.ks, r):
        reply_null(s)
        return NULL
    return r


cdef int encoding(Session s, Call* c) except -1:
    cdef Record* r = find(s, c.argv[2])
    if r != NULL:
        reply_text(s, encoding_name(r))
    return 0


cdef int refcount(Session s, Call* c) except -1:
    cdef Record* r = find(s, c.argv[2])
    if r != NULL:
        reply_int(s, SHARED if kind_of(r) == STR_INT and 0 <= r.value.number < SHARED_NUMBERS else 1)
    return 0


cdef int idletime(Session s, Call* c) except -1:
    cdef Record* r = find(s, c.argv[2])
    if r == NULL:
        return 0
    if s.engine.ks.lfu:
        reply_error(
            s, b"ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when "
            b"switching between policies at runtime LRU and LFU data will take some time to adjust.")
        return 0
    reply_int(s, ks_idle_seconds(&s.engine.ks, r))
    return 0


cdef int freq(Session s, Call* c) except -1:
    cdef Record* r = find(s, c.argv[2])
    if r == NULL:
        return 0
    if not s.engine.ks.lfu:
        reply_error(
            s, b"ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that "
            b"when switching between policies at runtime LRU and LFU data will take some time to adjust.")
        return 0
    reply_int(s, ks_frequency(&s.engine.ks, r))
    return 0


HELP = (
    "ENCODING <key>",
    "    Tell how the value of the key is held.",
    "FREQ <key>",
    "    Tell how often the key is used, on a logarithmic scale (LFU policies).",
    "IDLETIME <key>",
    "    Tell for how many seconds the key has not been used (other policies).",
    "REFCOUNT <key>",
    "    Tell how many references the value has.",
)


cpdef int register(Engine e) except -1:
    """The index of the family."""
    key = (KeySpec("RO", begin=2),)
    luck = ("nondeterministic_output",)
    add_container(e, Spec(
        "object", -2, "container", (0, 0, 0), "generic", "2.2.3", "Look at how values are held.",
        "Depends on the sub-command."))
    command(e, encoding, Spec(
        "object|encoding", 3, "readonly", (2, 2, 1), "generic", "2.2.3", "Return how a value is held.",
        "O(1)", key_specs=key, tips=luck))
    command(e, freq, Spec(
        "object|freq", 3, "readonly", (2, 2, 1), "generic", "4.0.0", "Return how often a key is used.",
        "O(1)", key_specs=key, tips=luck))
    command(e, idletime, Spec(
        "object|idletime", 3, "readonly", (2, 2, 1), "generic", "2.2.3",
        "Return for how long a key has not been used.", "O(1)", key_specs=key, tips=luck))
    command(e, refcount, Spec(
        "object|refcount", 3, "readonly", (2, 2, 1), "generic", "2.2.3",
        "Return how many references a value has.", "O(1)", key_specs=key, tips=luck))
    helping = Spec(
        "object|help", 2, "loading stale", (0, 0, 0), "generic", "6.2.0", "Tell what OBJECT can do.", "O(1)")
    add_function(e, helping, help_command("OBJECT", HELP))
    return 0
