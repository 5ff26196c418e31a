# What the commands of sets and sorted sets share: keys that come and go, counts among the arguments.

from libc.stdint cimport int64_t
from holdfast.engine.buf cimport Slice
from holdfast.engine.record cimport Record
from holdfast.engine.sets cimport SetRules
from holdfast.engine.sorted_sets cimport ZsetRules
from holdfast.engine.state cimport Engine, Session

cdef enum:
    DRAWS_MAX = 1 << 28         # elements of one reply of SRANDMEMBER or ZRANDMEMBER with repetitions

cdef inline SetRules set_rules(Engine e) noexcept:
    cdef SetRules rules
    rules.heap = &e.ks.heap
    rules.seed = &e.ks.seed
    rules.intset_entries = e.set_max_intset_entries
    rules.listpack_entries = e.set_max_listpack_entries
    rules.listpack_value = e.set_max_listpack_value
    return rules

cdef inline ZsetRules zset_rules(Engine e) noexcept:
    cdef ZsetRules rules
    rules.heap = &e.ks.heap
    rules.seed = &e.ks.seed
    rules.listpack_entries = e.zset_max_listpack_entries
    rules.listpack_value = e.zset_max_listpack_value
    return rules

# Create a key that is known to be missing.
cdef Record* create_key(Session s, Slice key, int kind, void* ptr) noexcept
# The result of a STORE command: create the key, or replace what it holds.
cdef void store_key(Session s, Slice key, int kind, void* ptr) noexcept
# An aggregate lost its last member: delete the key and tell it.
cdef void delete_emptied(Session s, Slice key) noexcept
# A STORE command found nothing: delete the destination, if there is one.
cdef void delete_destination(Session s, Slice key) noexcept
# An integer argument in [low, high]. False: answered with `message`, or if that is NULL in the usual words.
cdef bint arg_within(
    Session s, Slice arg, int64_t low, int64_t high, const char* message, int64_t* out) noexcept
# A count that is not negative.
cdef bint arg_count(Session s, Slice arg, int64_t* out) noexcept
# The count of SRANDMEMBER and ZRANDMEMBER: negative asks for repetitions.
cdef bint arg_draws(Session s, Slice arg, int64_t* out) noexcept
# False: it holds something else than a sorted set, which was answered.
cdef bint is_zset(Session s, Record* r) noexcept
# The head of a reply of sorted-set members: with scores flat in RESP2, pairs in RESP3.
cdef void reply_members_head(Session s, size_t count, bint with_scores) noexcept
cdef void reply_member(Session s, const char* p, size_t n, double score, bint with_scores) noexcept
