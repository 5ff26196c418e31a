"""One request: where it goes.

What it is: the one pass that every request takes. The hot case comes first: a
command with one key, no guard up, nothing pinned; it is looked up, hashed, and
its bytes are appended to a connection. All others are cases of `by_kind`. What it
is not: the choice among the keys' shards (`Target`), of a backend in a shard
(`Pool`), or the connections themselves (`link`).

Three things have an order with every other request of their client, so they wait
until it is idle, and it waits until they are answered: what gets a connection of
its own (WATCH to EXEC, blocking commands, huge requests), SUBSCRIBE, and SELECT.

How to read it: `route`, `by_kind`, then a section a group of kinds. Transactions
are in `transactions`, connections of a client's own in `pinned`.
"""

from libc.stdint cimport int64_t
from holdfast.engine.buf cimport Slice, slice_bytes
from holdfast.engine.dispatch cimport execute
from holdfast.engine.numbers cimport parse_int64
from holdfast.engine.registry cimport find_command
from holdfast.engine.reply cimport reply_error_bytes
from holdfast.engine.state cimport (
    CMD_CONTAINER, CMD_NO_AUTH, GUARD_MUTED, GUARD_NO_AUTH, GUARD_SUBSCRIBED, S_DIRTY_EXEC, S_MULTI,
    S_REPLY_OFF, S_REPLY_SKIP, S_REPLY_SKIP_NEXT, Call, Command, Session)
from holdfast.proxy.client cimport client_answered, client_pause, client_slot, slot_fail
from holdfast.proxy.hold cimport hold, keep
from holdfast.proxy.link cimport OUT_PAUSE, lane_of, link_send, shared_link
from holdfast.proxy.pinned cimport awaits_primary, leave_pinned, own_connection
from holdfast.proxy.shapes cimport Backend, Client, Exchange, Lane, Link, Pool, Shard, Target, Verb
from holdfast.proxy.slots cimport SLOT_MUTED, SLOT_PLAIN, SLOT_SELECT, SLOT_WRITES, Slot
from holdfast.proxy.split cimport send_split, send_to_all, send_cursor
from holdfast.proxy.transactions cimport gather, transaction
from holdfast.proxy.verbs cimport (
    V_ALL, V_ANY, V_CHANNEL, V_CONTAINER, V_COUNTED, V_CURSOR, V_DISCARD, V_EXEC, V_KEY, V_KEYS, V_LISTEN,
    V_LOCAL, V_MOVABLE, V_REFUSED, V_SELECT, V_SPLIT, V_WATCH, command_of)

from holdfast.commands.key_positions import keys_of

cdef bytes REFUSED_LINE = b"-ERR Connection refused\r\n"
cdef bytes NO_REPLICA = b"-ERR no replica may be read from now\r\n"
cdef bytes CROSSING = b"CROSSSLOT Keys in request don't hash to the same server"


cdef int route(Client client, Call* c) except -1:
    cdef Exchange exchange = client.exchange
    cdef Session s = client.session
    cdef Target target
    cdef Command* cmd = find_command(exchange.engine, c.argv[0].ptr, c.argv[0].len)
    cdef Verb* verb
    cdef Slice key
    cdef int ordinal
    if cmd == NULL:
        return answer_here(client, c)
    verb = &exchange.verbs[cmd.id]
    c.command = cmd
    if (verb.kind != V_KEY or s.guard or client.pinned is not None or c.argc < -cmd.arity
            or (cmd.arity > 0 and c.argc != cmd.arity)):
        return by_kind(client, c, cmd)
    exchange.engine.stat_commands += 1
    if verb.blocks:
        return own_connection(client, c, verb)
    key = c.argv[verb.first]
    target = client.door.target
    ordinal = target.shard_of(key.ptr, key.len)
    slot = client_slot(client, SLOT_PLAIN)
    if ordinal < 0:
        slot_fail(slot, REFUSED_LINE, len(REFUSED_LINE))
        return 1
    s.last_command = cmd
    send(client, <Shard>target.shards[ordinal], slot, c.raw.ptr, c.raw.len, verb.writes)
    return 1


cdef int by_kind(Client client, Call* c, Command* named) except -1:
    cdef Exchange exchange = client.exchange
    cdef Session s = client.session
    cdef Command* cmd = command_of(exchange, c, named)
    cdef Verb* verb
    cdef int kind
    if cmd == NULL:
        return refuse_call(client, c)
    c.command = cmd
    verb = &exchange.verbs[cmd.id]
    kind = verb.kind
    if s.guard & GUARD_NO_AUTH and not cmd.flags & CMD_NO_AUTH:
        return answer_error(client, b"NOAUTH Authentication required")
    if s.guard & GUARD_SUBSCRIBED and kind != V_LISTEN:
        return answer_here(client, c)
    if kind == V_LOCAL and not s.flags & S_MULTI:
        return answer_locally(client, c)
    exchange.engine.stat_commands += 1
    s.last_command = cmd
    if kind == V_REFUSED or kind == V_CONTAINER:
        return answer_error(client, b"ERR '%s' cannot be used through the proxy" % <bytes>cmd.name)
    if s.flags & S_MULTI and kind != V_EXEC and kind != V_DISCARD:
        return gather(client, c, verb)
    if kind == V_KEY or kind == V_KEYS or kind == V_COUNTED or kind == V_MOVABLE:
        return by_keys(client, c, verb)
    if kind == V_SPLIT:
        return by_split(client, c, verb)
    if kind == V_ALL or kind == V_CURSOR or kind == V_ANY:
        return without_key(client, c, verb)
    if kind == V_CHANNEL:
        return to_ordinal(client, c, verb, client.door.target.shard_of(c.argv[1].ptr, c.argv[1].len))
    if kind == V_LISTEN:
        return listen(client, c)
    if kind == V_SELECT:
        return select(client, c)
    return transaction(client, c, kind)


# ---- answers of our own ----

cdef int answer_here(Client client, Call* c) except -1:
    """Let the engine answer: local commands, unknown ones, what a guard refuses."""
    cdef size_t before = client.session.out.len
    execute(client.session, c)
    client_answered(client, before)
    return 1


cdef int answer_locally(Client client, Call* c) except -1:
    """A command of the proxy's own; those that change how the client speaks wait for what is open."""
    cdef bytes name = <bytes>c.command.name
    if (name == b"reset" or name == b"hello") and client.pending:
        client.until_idle = True
        return 0
    answer_here(client, c)
    if name == b"reset":
        client.database = client.door.database
        client.multi_shard = None
        leave_pinned(client)
        if client.exchange.hub is not None:
            client.exchange.hub.sweep()
    return 1


cdef int answer_error(Client client, bytes text) except -1:
    cdef Session s = client.session
    cdef size_t before = s.out.len
    if s.flags & S_MULTI:
        s.flags |= S_DIRTY_EXEC
    reply_error_bytes(s, text)
    if s.guard & GUARD_MUTED and s.flags & (S_REPLY_OFF | S_REPLY_SKIP):
        s.out.len = before
    client_answered(client, before)
    return 1


cdef int refuse_call(Client client, Call* c) except -1:
    """No such command, or a wrong number of arguments."""
    cdef Command* cmd = find_command(client.session.engine, c.argv[0].ptr, c.argv[0].len)
    if cmd != NULL and cmd.handler == NULL and not cmd.flags & CMD_CONTAINER:
        return answer_error(client, b"ERR wrong number of arguments for '%s' command" % <bytes>cmd.name)
    if client.session.guard & GUARD_NO_AUTH:
        return answer_error(client, b"NOAUTH Authentication required")
    return answer_here(client, c)


cdef Slot* plain_slot(Client client) except NULL:
    """A slot for a forwarded request; muted where the client wants no reply."""
    cdef Session s = client.session
    cdef Slot* slot = client_slot(client, SLOT_PLAIN)
    if s.guard & GUARD_MUTED:
        if s.flags & S_REPLY_SKIP_NEXT:
            s.flags = (s.flags & ~S_REPLY_SKIP_NEXT) | S_REPLY_SKIP
        if s.flags & (S_REPLY_OFF | S_REPLY_SKIP):
            slot.flags |= SLOT_MUTED
        s.flags &= ~S_REPLY_SKIP
        if not s.flags & (S_REPLY_OFF | S_REPLY_SKIP_NEXT):
            s.guard &= ~GUARD_MUTED
    return slot


# ---- sending ----

cdef int send(Client client, Shard shard, Slot* slot, const char* p, size_t n, bint writes) except -1:
    cdef Pool pool = shard.pool
    cdef Backend backend
    cdef Lane lane
    cdef Link link
    slot.ordinal = shard.ordinal
    if writes:
        slot.flags |= SLOT_WRITES
    if client.pinned is not None and client.pinned_shard is shard:
        link = client.pinned
        if link.closed:
            return slot_fail(slot, REFUSED_LINE, len(REFUSED_LINE))
        return link_send(link, slot, p, n)
    if shard.held.count:
        return hold(shard, slot, p, n)
    backend = pool.backend_for(shard, writes, client)
    if backend is None:
        if shard._primary is not None:
            return slot_fail(slot, NO_REPLICA, len(NO_REPLICA))
        if pool.hold_ms:
            return hold(shard, slot, p, n)
        return slot_fail(slot, REFUSED_LINE, len(REFUSED_LINE))
    lane = backend.plain
    if client.database != lane.database or client.session.resp != lane.protocol:
        lane = lane_of(backend, client.database, client.session.resp)
    link = <Link>lane.links[client.number % <size_t>len(lane.links)]
    if link is None or link.closed or link.retired:
        link = shared_link(lane, client.number)
    if pool.keeps_requests or pool.hold_ms:
        keep(pool, slot, p, n)
    link_send(link, slot, p, n)
    if link.out.len > OUT_PAUSE:
        wait_for_room(client, link)
    return 0


cdef int wait_for_room(Client client, Link link) except -1:
    """So many bytes could not be written that the client has to wait."""
    if not client.stalled and not link.closed:
        client.stalled = True
        if link.stalled is None:
            link.stalled = []
        link.stalled.append(client)
    return 0


cdef int to_ordinal(Client client, Call* c, Verb* verb, int ordinal) except -1:
    cdef Target target = client.door.target
    cdef Slot* slot
    if ordinal == SHARDS_DIFFER:
        return answer_error(client, CROSSING)
    if ordinal == BAD_KEYS:
        return answer_error(client, b"ERR the keys of '%s' cannot be told" % <bytes>c.command.name)
    if ordinal == NO_KEYS:
        ordinal = 0
    slot = plain_slot(client)
    if ordinal < 0:
        slot_fail(slot, REFUSED_LINE, len(REFUSED_LINE))
        return 1
    send(client, <Shard>target.shards[ordinal], slot, c.raw.ptr, c.raw.len, verb.writes)
    return 1


# ---- keys ----

cdef int shared_shard(Client client, Call* c, Verb* verb) except -5:
    """The ordinal of the shard that all keys of a call share, or why there is none."""
    cdef Target target = client.door.target
    cdef int ordinal = NO_KEYS
    cdef int at, last
    cdef int64_t count
    if verb.kind == V_KEY:
        return target.shard_of(c.argv[verb.first].ptr, c.argv[verb.first].len)
    if verb.kind == V_KEYS or verb.kind == V_SPLIT or verb.kind == V_WATCH:
        last = verb.last if verb.last >= 0 else c.argc + verb.last
        return range_shard(target, c, verb.first, last, verb.step, NO_KEYS)
    if verb.kind == V_COUNTED:
        if verb.number >= c.argc or not parse_int64(c.argv[verb.number].ptr, c.argv[verb.number].len, &count):
            return NO_KEYS      # the server words the error
        at = verb.number + verb.first
        if count < 0 or count > (c.argc - at + verb.step - 1) // verb.step:
            return NO_KEYS
        if verb.extra:
            ordinal = target.shard_of(c.argv[verb.extra].ptr, c.argv[verb.extra].len)
        return range_shard(target, c, at, at + (<int>count - 1) * verb.step, verb.step, ordinal)
    return moved_shard(client, c)


cdef int range_shard(Target target, Call* c, int first, int last, int step, int ordinal) noexcept:
    cdef int at, found
    if last >= c.argc:
        last = c.argc - 1
    for at in range(first, last + 1, step):
        found = target.shard_of(c.argv[at].ptr, c.argv[at].len)
        if ordinal == NO_KEYS:
            ordinal = found
        elif ordinal != found:
            return SHARDS_DIFFER
    return ordinal


cdef int moved_shard(Client client, Call* c) except -5:
    """The same by the walk over the command's key specifications."""
    cdef Target target = client.door.target
    cdef int i, found, ordinal = NO_KEYS
    cdef list words = [slice_bytes(c.argv[i]) for i in range(c.argc)]
    keys = keys_of(client.exchange.engine.specs[c.command.id], words)
    if keys is None:
        return NO_KEYS
    for i, _ in keys:
        found = target.shard_of(c.argv[i].ptr, c.argv[i].len)
        if ordinal == NO_KEYS:
            ordinal = found
        elif ordinal != found:
            return SHARDS_DIFFER
    return ordinal


cdef int by_keys(Client client, Call* c, Verb* verb) except -1:
    if verb.blocks and may_block(c):
        return own_connection(client, c, verb)
    return to_ordinal(client, c, verb, shared_shard(client, c, verb))


cdef bint may_block(Call* c) noexcept:
    """XREAD and XREADGROUP block only when they say so; all others always may."""
    cdef int i
    if c.command.name[0] != c'x':
        return True
    for i in range(1, c.argc):
        if c.argv[i].len == 5 and (c.argv[i].ptr[0] | 0x20) == c'b' and (c.argv[i].ptr[4] | 0x20) == c'k':
            return True
    return False


cdef int by_split(Client client, Call* c, Verb* verb) except -1:
    cdef int ordinal
    if verb.step == 2 and c.argc % 2 == 0:
        return answer_error(client, b"ERR wrong number of arguments for '%s' command" % <bytes>c.command.name)
    if client.pinned is not None or c.argc == 1 + verb.step or len(client.door.target.shards) == 1:
        ordinal = shared_shard(client, c, verb)
        if ordinal != SHARDS_DIFFER:
            return to_ordinal(client, c, verb, ordinal)
    send_split(client, c, verb, plain_slot(client))
    return 1


cdef int without_key(Client client, Call* c, Verb* verb) except -1:
    if verb.kind == V_ANY or len(client.door.target.shards) == 1:
        return to_ordinal(client, c, verb, 0)
    if verb.kind == V_CURSOR:
        send_cursor(client, c, plain_slot(client))
    else:
        send_to_all(client, c, verb, plain_slot(client))
    return 1


# ---- databases, subscriptions ----

cdef int select(Client client, Call* c) except -1:
    """SELECT: asked of the first shard, on a connection that is in that database."""
    cdef int64_t number
    cdef Slot* slot
    cdef Shard shard
    cdef Backend backend
    if client.pending:
        client.until_idle = True
        return 0
    if client.pinned is not None:
        return answer_error(client, b"ERR SELECT while keys are watched cannot be used through the proxy")
    if not parse_int64(c.argv[1].ptr, c.argv[1].len, &number):
        return answer_error(client, b"ERR value is not an integer or out of range")
    if number < 0 or number > 1 << 20:
        return answer_error(client, b"ERR DB index is out of range")
    shard = client.door.target.shards[0]
    if awaits_primary(client, shard):
        return 0
    slot = plain_slot(client)
    backend = shard.pool.backend_for(shard, True, client)
    if backend is None:
        slot_fail(slot, REFUSED_LINE, len(REFUSED_LINE))
        return 1
    slot.flags |= SLOT_SELECT
    slot.number = <int>number
    link_send(
        shared_link(lane_of(backend, <int>number, client.session.resp), client.number), slot, c.raw.ptr,
        c.raw.len)
    client_pause(client)
    return 1


cdef int listen(Client client, Call* c) except -1:
    """A subscription: the engine keeps it, once the hub hears the channels from their servers."""
    cdef int i
    if client.pending:
        client.until_idle = True
        return 0
    hub = client.exchange.hub
    words = [slice_bytes(c.argv[i]) for i in range(c.argc)]
    if hub is None:
        return answer_error(client, b"ERR there is nothing to listen to")
    heard = hub.hears(client, words)
    if type(heard) is bytes:
        return answer_error(client, heard)
    if not heard:
        client.until_idle = True
        return 0
    answer_here(client, c)
    hub.settle(words)
    return 1


# ---- for tests and tools ----


def keys_of_call(Exchange exchange, words):
    """Return the keys by which a call is routed; None when it has none or makes no sense."""
    name = words[0].decode().lower()
    cdef bytes text = name.encode()
    cdef Command* cmd = find_command(exchange.engine, text, len(text))
    if cmd == NULL:
        return None
    found = keys_of(exchange.engine.specs[cmd.id], list(words))
    return None if not found else [words[place] for place, _ in found]


def shards_of_call(Exchange exchange, Target target, words):
    """Return the ordinals of the shards that the keys of a call belong to."""
    keys = keys_of_call(exchange, words) or ()
    return {target.ordinal_of(key) for key in keys}
