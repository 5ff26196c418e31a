"""Requests over several shards: taken apart, and their replies joined again.

What it is: MGET and its kin, whose keys are shared out, and requests that go to
every shard. Arguments are copied as they stand in the request, lengths included;
replies are joined as they stand in the parts: of MGET each value is cut out by
the scanner and copied, whatever its type. What it is not: the routing of a key.

A part that fails makes its error the reply of the whole; what the other parts did
is done, as with every proxy: MSET and DEL over several shards are not atomic.

SCAN walks the shards one after the other. Its cursor is cursor * shards + shard;
a shard that is at its end sends the client to the start of the next.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport abort, free, malloc, realloc, strtoull
from libc.string cimport memcpy, memset
from holdfast.engine.buf cimport Buf, buf_append, buf_reserve, slice_bytes
from holdfast.engine.numbers cimport format_int64, parse_int64
from holdfast.engine.state cimport Call
from holdfast.proxy.client cimport slot_fail
from holdfast.proxy.route cimport send
from holdfast.proxy.scan cimport Scan, scan_reply, whole_bulk
from holdfast.proxy.shapes cimport Client, Exchange, Shard, Target, Verb
from holdfast.proxy.slots cimport (
    JOIN_CURSOR, JOIN_EVERY, JOIN_LISTS, JOIN_SOME, JOIN_SUM, JOIN_VALUES, PARTS_AT_HAND, SLOT_PART,
    SLOT_WHOLE, Slot, Split, new_slot, new_split)

cdef bytes REFUSED_LINE = b"-ERR Connection refused\r\n"
cdef bytes BAD_CURSOR = b"-ERR invalid cursor\r\n"
cdef bytes BAD_PART = b"-ERR Invalid argument\r\n"


cdef void head(Buf* out, char mark, int64_t value) noexcept nogil:
    """Write mark, number, CRLF."""
    cdef char text[32]
    cdef size_t n
    text[0] = mark
    n = 1 + format_int64(text + 1, value)
    text[n] = c'\r'
    text[n + 1] = c'\n'
    buf_append(out, text, n + 2)


cdef inline void bulk(Buf* out, const char* p, size_t n) noexcept nogil:
    head(out, c'$', n)
    buf_append(out, p, n)
    buf_append(out, b"\r\n", 2)


cdef Slot* part_of(Slot* whole, int place) noexcept:
    cdef Slot* part = new_slot(NULL, SLOT_PART)
    part.whole = whole
    whole.split.parts[place] = part
    return part


# ---- taking apart ----

cdef int send_split(Client client, Call* c, Verb* verb, Slot* whole) except -1:
    cdef Exchange exchange = client.exchange
    cdef Target target = client.door.target
    cdef int shard_count = <int>len(target.shards)
    cdef int key_count = (c.argc - 1) // verb.step
    cdef int part_count = 0, i, at, ordinal, place
    cdef Split* split
    cdef int at_hand[2 * PARTS_AT_HAND]
    cdef int* ordinals = at_hand            # of each part
    cdef int* counts
    ensure_parts(exchange, shard_count)
    split = new_split(verb.join, min(key_count, shard_count), key_count)
    whole.kind = SLOT_WHOLE
    whole.split = split
    if split.part_count > PARTS_AT_HAND:
        ordinals = <int*>malloc(2 * split.part_count * sizeof(int))
        if ordinals == NULL:
            abort()
    counts = ordinals + split.part_count
    for i in range(key_count):
        at = 1 + i * verb.step
        ordinal = target.shard_of(c.argv[at].ptr, c.argv[at].len)
        if ordinal < 0:
            part_count = -1
            break
        place = exchange.part_of[ordinal]
        # A mark of an earlier request is told by the part's not being this shard's.
        if place < 0 or place >= part_count or ordinals[place] != ordinal:
            place = part_count
            exchange.part_of[ordinal] = place
            ordinals[place] = ordinal
            counts[place] = 0
            part_count += 1
        split.which[i] = place
        counts[place] += 1
    if part_count < 0:
        if ordinals != at_hand:
            free(ordinals)
        split.part_count = 0
        return slot_fail(whole, REFUSED_LINE, len(REFUSED_LINE))
    split.part_count = part_count
    split.parts_left = part_count
    client.door.fragments += part_count
    # All parts are made before one is sent: a part may fail at once.
    for place in range(part_count):
        part_of(whole, place)
    try:
        for place in range(part_count):
            compose_part(&exchange.scratch, c, verb, split, place, counts[place])
            send(
                client, <Shard>target.shards[ordinals[place]], split.parts[place], exchange.scratch.ptr,
                exchange.scratch.len, verb.writes)
    finally:
        if ordinals != at_hand:
            free(ordinals)
    return 0


cdef int ensure_parts(Exchange exchange, int shard_count) except -1:
    cdef int i
    if exchange.part_cap < shard_count:
        exchange.part_of = <int*>realloc(exchange.part_of, shard_count * sizeof(int))
        if exchange.part_of == NULL:
            abort()
        for i in range(exchange.part_cap, shard_count):
            exchange.part_of[i] = -1
        exchange.part_cap = shard_count
    return 0


cdef void compose_part(Buf* out, Call* c, Verb* verb, Split* split, int place, int count) noexcept nogil:
    """The request with the keys of one part: arguments as they stand, their lengths before them."""
    cdef const char* start
    cdef const char* end
    cdef int i = 0, last
    out.len = 0
    buf_reserve(out, c.raw.len + 32)        # a part is hardly longer than the whole
    head(out, c'*', 1 + count * verb.step)
    bulk(out, c.argv[0].ptr, c.argv[0].len)
    while i < split.key_count:
        if split.which[i] != <uint32_t>place:
            i += 1
            continue
        start = c.argv[i * verb.step].ptr + c.argv[i * verb.step].len + 2
        while i < split.key_count and split.which[i] == <uint32_t>place:     # neighbours go together
            i += 1
        last = i * verb.step
        end = c.argv[last].ptr + c.argv[last].len + 2
        buf_append(out, start, end - start)


cdef list whole_of(Target target):
    """Every shard of a target once, whether its keys have one place in `shards` or many."""
    return getattr(target, "whole", target.shards)


cdef int send_to_all(Client client, Call* c, Verb* verb, Slot* whole) except -1:
    cdef list shards = whole_of(client.door.target)
    cdef int count = <int>len(shards)
    cdef Split* split = new_split(verb.join, count, 0)
    cdef int i
    whole.kind = SLOT_WHOLE
    whole.split = split
    split.number = <int>(client.exchange.engine.stat_commands % <size_t>count)
    client.door.fragments += count
    for i in range(count):
        part_of(whole, i)
    for i in range(count):
        send(client, <Shard>shards[i], split.parts[i], c.raw.ptr, c.raw.len, verb.writes)
    return 0


cdef int send_cursor(Client client, Call* c, Slot* whole) except -1:
    cdef list shards = whole_of(client.door.target)
    cdef int count = <int>len(shards)
    cdef bytes text = slice_bytes(c.argv[1])
    cdef Split* split
    cdef Buf* out = &client.exchange.scratch
    cdef uint64_t cursor
    cdef bytes inner
    cdef int i
    if not text.isdigit() or len(text) > 20:
        return slot_fail(whole, BAD_CURSOR, len(BAD_CURSOR))
    cursor = strtoull(text, NULL, 10)
    inner = b"%d" % (cursor // <uint64_t>count)
    split = new_split(JOIN_CURSOR, 1, 0)
    whole.kind = SLOT_WHOLE
    whole.split = split
    split.number = <int>(cursor % <uint64_t>count)
    split.shard_count = count
    out.len = 0
    head(out, c'*', c.argc)
    bulk(out, c.argv[0].ptr, c.argv[0].len)
    bulk(out, inner, len(inner))
    for i in range(2, c.argc):
        bulk(out, c.argv[i].ptr, c.argv[i].len)
    part_of(whole, 0)
    return send(client, <Shard>shards[split.number], split.parts[0], out.ptr, out.len, False)


# ---- joining ----

cdef int join_parts(Slot* whole, Buf* out) except -1:
    cdef Split* split = whole.split
    cdef Slot* part
    cdef int i
    for i in range(split.part_count):
        part = split.parts[i]
        if part.mark == c'-' or part.reply.len == 0:
            if part.reply.len:
                buf_append(out, part.reply.ptr, part.reply.len)
            else:
                buf_append(out, BAD_PART, len(BAD_PART))
            return 0
    if split.join == JOIN_VALUES:
        return join_values(split, out)
    if split.join == JOIN_SUM:
        return join_sum(split, out)
    if split.join == JOIN_LISTS:
        return join_lists(split, out)
    if split.join == JOIN_EVERY:
        return join_every(split, out)
    if split.join == JOIN_SOME:
        return join_some(split, out)
    if split.join == JOIN_CURSOR:
        return join_cursor(split, out)
    buf_append(out, split.parts[0].reply.ptr, split.parts[0].reply.len)
    return 0


cdef inline size_t after_line(Buf* reply) noexcept nogil:
    """Where the second line of a reply begins."""
    cdef size_t at = 0
    while at < reply.len and reply.ptr[at] != c'\n':
        at += 1
    return at + 1 if at < reply.len else reply.len


cdef inline int64_t number_of(Buf* reply) noexcept nogil:
    """The number in the first line of a reply."""
    cdef int64_t value = 0
    cdef size_t end = after_line(reply)
    if end > 3:
        parse_int64(reply.ptr + 1, end - 3, &value)
    return value


cdef int join_values(Split* split, Buf* out) except -1:
    """One value a key, in the order of the keys."""
    cdef size_t at_hand[PARTS_AT_HAND]
    cdef size_t* at = at_hand
    cdef size_t begin = out.len, total = 32, used
    cdef Buf* reply
    cdef uint32_t place
    cdef int i
    if split.part_count > PARTS_AT_HAND:
        at = <size_t*>malloc(split.part_count * sizeof(size_t))
        if at == NULL:
            abort()
    for i in range(split.part_count):
        at[i] = after_line(&split.parts[i].reply)
        total += split.parts[i].reply.len
    buf_reserve(out, total)
    head(out, c'*', split.key_count)
    for i in range(split.key_count):
        place = split.which[i]
        reply = &split.parts[place].reply
        used = value_bytes(reply.ptr + at[place], reply.len - at[place])
        if used == 0:
            out.len = begin
            buf_append(out, BAD_PART, len(BAD_PART))
            break
        memcpy(out.ptr + out.len, reply.ptr + at[place], used)
        out.len += used
        at[place] += used
    if at != at_hand:
        free(at)
    return 0


cdef inline size_t value_bytes(const char* p, size_t n) noexcept nogil:
    """How long the value is that begins here; 0: it is not there whole."""
    cdef Scan scan
    cdef Py_ssize_t used = whole_bulk(p, n)
    if used:
        return used
    memset(&scan, 0, sizeof(Scan))
    used = scan_reply(&scan, p, n)
    return 0 if used <= 0 or scan.left else used


cdef int join_sum(Split* split, Buf* out) except -1:
    cdef int64_t total = 0
    cdef int i
    for i in range(split.part_count):
        total += number_of(&split.parts[i].reply)
    head(out, c':', total)
    return 0


cdef int join_lists(Split* split, Buf* out) except -1:
    cdef int64_t total = 0
    cdef size_t start
    cdef int i
    for i in range(split.part_count):
        total += number_of(&split.parts[i].reply)
    head(out, split.parts[0].mark, total)
    for i in range(split.part_count):
        start = after_line(&split.parts[i].reply)
        buf_append(out, split.parts[i].reply.ptr + start, split.parts[i].reply.len - start)
    return 0


cdef int join_every(Split* split, Buf* out) except -1:
    """Arrays of 0 and 1: 1 where all say 1."""
    cdef int i
    cdef list rows = [], lines
    for i in range(split.part_count):
        lines = split.parts[i].reply.ptr[:split.parts[i].reply.len].split(b"\r\n")
        rows.append(lines[1:len(lines) - 1])
    head(out, c'*', len(rows[0]))
    for column in zip(*rows):
        head(out, c':', 1 if all(value == b":1" for value in column) else 0)
    return 0


cdef int join_some(Split* split, Buf* out) except -1:
    """One that is not null, looked for from a place that moves on."""
    cdef Buf* reply
    cdef int i
    for i in range(split.part_count):
        reply = &split.parts[(split.number + i) % split.part_count].reply
        if not (reply.ptr[0] == c'_' or (reply.ptr[0] == c'$' and reply.ptr[1] == c'-')):
            break
    buf_append(out, reply.ptr, reply.len)
    return 0


cdef int join_cursor(Split* split, Buf* out) except -1:
    """SCAN: the cursor becomes one over all shards."""
    cdef Buf* reply = &split.parts[0].reply
    cdef bytes text = reply.ptr[:min(<size_t>64, reply.len)]
    cdef list lines = text.split(b"\r\n", 3)
    cdef bytes shown
    cdef object cursor
    cdef size_t rest
    if len(lines) < 4 or lines[0] != b"*2":
        buf_append(out, BAD_PART, len(BAD_PART))
        return 0
    cursor = int(lines[2])
    if cursor:
        cursor = cursor * split.shard_count + split.number
    elif split.number + 1 < split.shard_count:
        cursor = split.number + 1
    if cursor >= 1 << 64:
        buf_append(out, b"-ERR the cursor of this server is too large for a proxy\r\n", 57)
        return 0
    shown = b"%d" % cursor
    buf_append(out, b"*2\r\n", 4)
    bulk(out, shown, len(shown))
    rest = len(lines[0]) + len(lines[1]) + len(lines[2]) + 6
    buf_append(out, reply.ptr + rest, reply.len - rest)
    return 0
