"""Transactions: gathered here, answered with QUEUED, and sent whole at EXEC.

On a shared connection nothing can come between MULTI and EXEC, as their bytes are
contiguous; the server's answers to all but EXEC are skipped. All keys must share a
shard. WATCH needs the server to know the client: it gets a connection of its own,
until EXEC, DISCARD or UNWATCH; if that is lost, EXEC says so.

How to read it: `transaction` is the door for the five commands, `gather` takes what
comes between MULTI and EXEC.
"""

from holdfast.engine.buf cimport Buf, buf_append
from holdfast.engine.dispatch cimport discard_transaction
from holdfast.engine.reply cimport reply_error, reply_ok, reply_status
from holdfast.engine.state cimport GUARD_MULTI, S_DIRTY_EXEC, S_MULTI, Call, Session
from holdfast.proxy.client cimport client_answered, client_pause, slot_fail
from holdfast.proxy.link cimport link_send
from holdfast.proxy.pinned cimport awaits_primary, leave_pinned, pin
from holdfast.proxy.route cimport (
    NO_KEYS, NO_SHARD, SHARDS_DIFFER, answer_error, answer_locally, plain_slot, send, shared_shard)
from holdfast.proxy.shapes cimport Client, Exchange, Link, Shard, Verb
from holdfast.proxy.slots cimport SLOT_SETUP, Slot, new_slot
from holdfast.proxy.verbs cimport (
    V_ALL, V_ANY, V_CHANNEL, V_COUNTED, V_CURSOR, V_DISCARD, V_EXEC, V_KEY, V_KEYS, V_LOCAL, V_MOVABLE,
    V_MULTI, V_SPLIT, V_UNWATCH, V_WATCH)

cdef bytes REFUSED_LINE = b"-ERR Connection refused\r\n"
cdef bytes CROSSING = b"CROSSSLOT Keys in request don't hash to the same server"
cdef bytes WATCH_LOST = b"EXECABORT Transaction discarded because the connection to the watched keys was lost"


cdef int transaction(Client client, Call* c, int kind) except -1:
    if kind == V_MULTI:
        return begin_multi(client)
    if kind == V_EXEC:
        return run_multi(client)
    if kind == V_DISCARD:
        return discard(client)
    if kind == V_WATCH:
        return watch(client, c)
    return unwatch(client, c)


cdef int begin_multi(Client client) except -1:
    cdef Session s = client.session
    cdef size_t before = s.out.len
    s.flags |= S_MULTI
    s.guard |= GUARD_MULTI
    client.multi_shard = None
    reply_ok(s)
    return answered(client, before)


cdef int answered(Client client, size_t before) except -1:
    client_answered(client, before)
    return 1


cdef int gather(Client client, Call* c, Verb* verb) except -1:
    """A command inside MULTI: it is kept if its keys share the shard of the others."""
    cdef Session s = client.session
    cdef size_t before
    cdef int ordinal = NO_KEYS
    cdef Shard shard, fixed
    if verb.kind == V_KEY or verb.kind == V_KEYS or verb.kind == V_COUNTED or verb.kind == V_MOVABLE \
            or verb.kind == V_SPLIT:
        ordinal = shared_shard(client, c, verb)
    elif verb.kind == V_CHANNEL:
        ordinal = client.door.target.shard_of(c.argv[1].ptr, c.argv[1].len)
    elif verb.kind == V_MULTI:
        before = s.out.len
        reply_error(s, b"ERR MULTI calls can not be nested")
        return answered(client, before)
    elif verb.kind == V_WATCH:
        before = s.out.len
        reply_error(s, b"ERR WATCH inside MULTI is not allowed")
        return answered(client, before)
    elif verb.kind == V_LOCAL and ends_multi(c):
        discard_transaction(s)
        return answer_locally(client, c)
    elif not may_gather(client, c, verb):
        return answer_error(
            client, b"ERR '%s' inside MULTI cannot be used through the proxy" % <bytes>c.command.name)
    if ordinal == NO_SHARD:
        return answer_error(client, b"ERR Connection refused")
    shard = client.door.target.shards[ordinal] if ordinal >= 0 else None
    fixed = client.pinned_shard if client.pinned is not None else client.multi_shard
    if ordinal == SHARDS_DIFFER or (shard is not None and fixed is not None and shard is not fixed):
        return answer_error(client, CROSSING)
    if shard is not None:
        client.multi_shard = shard
    buf_append(&s.queue, c.raw.ptr, c.raw.len)
    s.queued += 1
    s.queued_flags |= c.command.flags
    before = s.out.len
    reply_status(s, b"QUEUED")
    return answered(client, before)


cdef bint may_gather(Client client, Call* c, Verb* verb):
    """Of the commands without a key: those that a server may run inside MULTI, for one shard alone."""
    if verb.kind == V_LOCAL:
        return <bytes>c.command.name in (b"ping", b"echo")
    if verb.kind == V_ANY or verb.kind == V_UNWATCH:
        return True
    return (verb.kind == V_ALL or verb.kind == V_CURSOR) and len(client.door.target.shards) == 1


cdef bint ends_multi(Call* c):
    return <bytes>c.command.name in (b"quit", b"reset")


cdef int run_multi(Client client) except -1:
    cdef Session s = client.session
    cdef Exchange exchange = client.exchange
    cdef Buf request
    cdef Slot* slot
    cdef Shard shard
    cdef int queued
    if not s.flags & S_MULTI:
        return answer_error(client, b"ERR EXEC without MULTI")
    if s.flags & S_DIRTY_EXEC:
        end_multi(client)
        forget_watch(client)
        return answer_error(client, b"EXECABORT Transaction discarded because of previous errors.")
    if client.pinned is not None and client.pinned.closed:
        end_multi(client)
        leave_pinned(client)
        return answer_error(client, WATCH_LOST)
    shard = client.pinned_shard if client.pinned is not None else client.multi_shard
    if shard is None:
        shard = client.door.target.shards[0]
    queued = s.queued
    request = exchange.scratch
    request.len = 0
    buf_append(&request, b"*1\r\n$5\r\nMULTI\r\n", 15)
    if s.queue.len:
        buf_append(&request, s.queue.ptr, s.queue.len)
    buf_append(&request, b"*1\r\n$4\r\nEXEC\r\n", 14)
    exchange.scratch = request
    end_multi(client)
    slot = plain_slot(client)
    slot.skip = slot.skips = queued + 1
    send(client, shard, slot, request.ptr, request.len, True)
    if client.pinned is not None:
        client.unpin = True
        client_pause(client)
    return 1


cdef int end_multi(Client client) except -1:
    discard_transaction(client.session)
    client.multi_shard = None
    return 0


cdef int discard(Client client) except -1:
    cdef Session s = client.session
    cdef size_t before = s.out.len
    if not s.flags & S_MULTI:
        return answer_error(client, b"ERR DISCARD without MULTI")
    end_multi(client)
    forget_watch(client)
    before = s.out.len
    reply_ok(s)
    return answered(client, before)


cdef int forget_watch(Client client) except -1:
    """The watched keys do not matter any more: the connection is as new after UNWATCH."""
    cdef Link link = client.pinned
    if link is None:
        return 0
    if link.closed:
        return leave_pinned(client)
    link_send(link, new_slot(NULL, SLOT_SETUP), b"*1\r\n$7\r\nUNWATCH\r\n", 17)
    client.unpin = True
    client.until_idle = True
    if client.pending == 0:
        client.exchange.go_on(client)
    return 0


cdef int watch(Client client, Call* c) except -1:
    cdef int ordinal
    cdef Slot* slot
    if client.pending:
        client.until_idle = True
        return 0
    ordinal = shared_shard(client, c, &client.exchange.verbs[c.command.id])
    if ordinal == SHARDS_DIFFER or (
            ordinal >= 0 and client.pinned is not None
            and client.pinned_shard is not client.door.target.shards[ordinal]):
        return answer_error(client, CROSSING)
    if ordinal >= 0 and client.pinned is None \
            and awaits_primary(client, <Shard>client.door.target.shards[ordinal]):
        return 0
    slot = plain_slot(client)
    if ordinal < 0 or (client.pinned is None and pin(client, ordinal, True) is None):
        slot_fail(slot, REFUSED_LINE, len(REFUSED_LINE))
        return 1
    slot.ordinal = ordinal
    if client.pinned.closed:
        slot_fail(slot, REFUSED_LINE, len(REFUSED_LINE))
    else:
        link_send(client.pinned, slot, c.raw.ptr, c.raw.len)
    client_pause(client)
    return 1


cdef int unwatch(Client client, Call* c) except -1:
    cdef Session s = client.session
    cdef size_t before
    if client.pending:
        client.until_idle = True
        return 0
    forget_watch(client)
    before = s.out.len
    reply_ok(s)
    return answered(client, before)
