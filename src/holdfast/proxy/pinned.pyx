"""Connections of a client's own: blocking commands, watched keys, huge requests.

What it is: the way of what cannot share a connection with others: it would block
them, or the server has to know the client by it. Such a request has an order with
every other one of its client: it begins when nothing of the client is open, and
nothing begins before it is answered. Then the connection goes back to its lane.

How to read it: `pin` and `leave_pinned`, then blocking commands, then requests that
are too large to be gathered and go on as they arrive.
"""

from libc.string cimport memchr, memset
from holdfast.engine.buf cimport Slice
from holdfast.engine.registry cimport find_command
from holdfast.engine.state cimport S_CLOSING, Call, Command, Session
from holdfast.proxy.client cimport client_pause, client_slot, slot_fail
from holdfast.proxy.link cimport (
    OUT_PAUSE, give_back, lane_of, link_add, link_begin, link_end, link_mark, link_send, private_link)
from holdfast.proxy.route cimport plain_slot, shared_shard, to_ordinal, wait_for_room
from holdfast.proxy.scan cimport scan_reply
from holdfast.proxy.shapes cimport Backend, Client, Link, Shard, Verb
from holdfast.proxy.slots cimport SLOT_PLAIN, SLOT_UNTIMED, Slot
from holdfast.proxy.verbs cimport V_KEY

cdef bytes REFUSED_LINE = b"-ERR Connection refused\r\n"


cdef Link pin(Client client, int ordinal, bint writes):
    """Give the client a connection to a shard; None: there is no backend now."""
    cdef Shard shard = client.door.target.shards[ordinal]
    cdef Backend backend = shard.pool.backend_for(shard, writes, client)
    if backend is None:
        return None
    client.pinned = private_link(lane_of(backend, client.database, client.session.resp))
    client.pinned_shard = shard
    client.unpin = False
    return client.pinned


cdef bint awaits_primary(Client client, Shard shard) except -1:
    if shard._primary is not None or not shard.pool.hold_ms:
        return False
    let_wait = getattr(shard.pool, "let_wait", None)
    if let_wait is None or not let_wait(client):
        return False
    client.until_idle = True
    return True


cdef int leave_pinned(Client client) except -1:
    """Close the client's own connection, with whatever state it has."""
    cdef Link link = client.pinned
    if link is not None:
        client.pinned = None
        client.pinned_shard = None
        client.unpin = False
        give_back(link, False)
    return 0


cdef int own_connection(Client client, Call* c, Verb* verb) except -1:
    """A blocking command: it waits alone, and its client with it."""
    cdef int ordinal
    cdef Slot* slot
    cdef Link link
    if client.pending:
        client.until_idle = True
        return 0
    ordinal = shared_shard(client, c, verb)
    if ordinal < 0:
        return to_ordinal(client, c, verb, ordinal)
    if client.pinned is None and awaits_primary(client, <Shard>client.door.target.shards[ordinal]):
        return 0
    slot = plain_slot(client)
    slot.flags |= SLOT_UNTIMED
    if client.pinned is not None and client.pinned_shard is client.door.target.shards[ordinal]:
        link_send(client.pinned, slot, c.raw.ptr, c.raw.len)
    else:
        leave_pinned(client)
        link = pin(client, ordinal, True)
        if link is None:
            slot_fail(slot, REFUSED_LINE, len(REFUSED_LINE))
            return 1
        slot.ordinal = ordinal
        link_send(link, slot, c.raw.ptr, c.raw.len)
        client.unpin = True
    client_pause(client)
    return 1


cdef bint begin_stream(Client client, const char* p, size_t n) except -1:
    """Begin to pass on a request as it arrives; False: it has to be gathered."""
    cdef Session s = client.session
    cdef Slice words[2]
    cdef Command* cmd
    cdef Verb* verb
    cdef Slot* slot
    cdef Link link
    cdef int ordinal
    if s.guard or client.pinned is not None or not cut_head(p, n, words):
        return False
    cmd = find_command(s.engine, words[0].ptr, words[0].len)
    if cmd == NULL:
        return False
    verb = &client.exchange.verbs[cmd.id]
    if verb.kind != V_KEY or verb.first != 1 or verb.blocks:
        return False
    if client.pending:
        client.until_idle = True
        return False
    ordinal = client.door.target.shard_of(words[1].ptr, words[1].len)
    if ordinal < 0:
        return False
    link = pin(client, ordinal, verb.writes)
    if link is None:
        return False
    s.last_command = cmd
    s.engine.stat_commands += 1
    slot = client_slot(client, SLOT_PLAIN)
    slot.ordinal = ordinal
    slot.flags |= SLOT_UNTIMED
    link_begin(link, slot)
    link_end(link, slot)
    client.streaming = True
    memset(&client.stream, 0, sizeof(client.stream))
    s.input_need = 0
    return True


cdef bint cut_head(const char* p, size_t n, Slice* words) noexcept:
    """The first two words of a request that is not there whole."""
    cdef size_t at = 0, size
    cdef int i
    cdef const char* newline = <const char*>memchr(p, c'\n', n)
    if newline == NULL:
        return False
    at = newline - p + 1
    for i in range(2):
        if at >= n or p[at] != c'$':
            return False
        size = 0
        at += 1
        while at < n and c'0' <= p[at] <= c'9' and size < (1 << 20):
            size = size * 10 + (p[at] - c'0')
            at += 1
        at += 2
        if at + size + 2 > n:
            return False
        words[i].ptr = p + at
        words[i].len = size
        at += size + 2
    return True


cdef size_t pass_stream(Client client, const char* p, size_t n) except <size_t>-1:
    """Pass on what belongs to the request that is under way; how much of it that was."""
    cdef Link link = client.pinned
    cdef Py_ssize_t used = scan_reply(&client.stream, p, n)
    cdef Session s = client.session
    if used < 0:
        s.flags |= S_CLOSING
        return n
    if link is not None and not link.closed:
        link_add(link, p, used)
        link_mark(link)
        if link.out.len > OUT_PAUSE:
            wait_for_room(client, link)
    if client.stream.left == 0:
        client.streaming = False
        client.unpin = True
        client_pause(client)
    return used
