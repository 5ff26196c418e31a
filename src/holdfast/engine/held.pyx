"""Held replies: what may not leave before replicas have acknowledged it.

What it is: marks on a session's output, each a reply and the stream offset that it
waits for. Marks stand in the order of the replies, so the output may leave up to
the first. Within a tick the offset is not known yet; `settle_held` gives all marks
of the tick the offset at its end, so that pipelined writes share one round trip.

What it is not: the decision when an offset is acknowledged (`holdfast.replication.gate`,
`holdfast.replication.lease_keeper`).
"""

from libc.stdint cimport int64_t
from libc.stdlib cimport abort, realloc
from libc.string cimport memmove
from holdfast.engine.buf cimport Buf, buf_append, buf_free
from holdfast.engine.reply cimport wake
from holdfast.engine.state cimport S_PRIMARY, S_PUBSUB, S_REPLICA, Engine, HeldReply, Session

cdef enum:
    THIS_TICK = -1


cdef void hold_reply(Session s, size_t begin) noexcept:
    if s.out.len > begin:
        hold_bytes(s, begin, s.out.len)


cdef void hold_bytes(Session s, size_t begin, size_t end) noexcept:
    cdef HeldReply* mark
    if s.held_count == s.held_cap:
        s.held_cap = s.held_cap * 2 if s.held_cap else 8
        s.held = <HeldReply*>realloc(s.held, s.held_cap * sizeof(HeldReply))
        if s.held == NULL:
            abort()
    if s.held_count == 0 or s.held[s.held_count - 1].offset != THIS_TICK:
        s.engine.gated.append(s)
    mark = &s.held[s.held_count]
    mark.begin = begin
    mark.end = end
    mark.offset = THIS_TICK
    s.held_count += 1


cdef void shift_held(Session s, size_t n) noexcept nogil:
    cdef int i
    for i in range(s.held_count):
        s.held[i].begin -= n
        s.held[i].end -= n


cdef void drop_marks(Session s, int count) noexcept nogil:
    s.held_count -= count
    if s.held_count:
        memmove(s.held, s.held + count, s.held_count * sizeof(HeldReply))


cdef int marks_up_to(Session s, int64_t offset) noexcept nogil:
    cdef int count = 0
    while count < s.held_count and s.held[count].offset != THIS_TICK and s.held[count].offset <= offset:
        count += 1
    return count


def settle_held(Engine engine, int64_t offset):
    """Let all replies held in this tick wait for `offset`; return their sessions."""
    cdef Session s
    cdef int i
    cdef list sessions = engine.gated
    engine.gated = []
    for s in sessions:
        i = s.held_count
        while i and s.held[i - 1].offset == THIS_TICK:
            i -= 1
            s.held[i].offset = offset
    return sessions


def release_held(Session session, int64_t offset):
    """Let the replies go that wait for `offset` or less; they leave at the end of the tick."""
    cdef int count = marks_up_to(session, offset)
    if count:
        drop_marks(session, count)
        wake(session)
    return count


def release_all(list sessions, int64_t offset):
    """Let the replies of all these sessions go that wait for `offset` or less."""
    cdef Session s
    cdef int count
    for s in sessions:
        count = marks_up_to(s, offset)
        if count:
            drop_marks(s, count)
            wake(s)


def fail_held(Session session, int64_t offset, bytes error):
    """Put an error in the place of every reply that waits for `offset` or less."""
    cdef int count = marks_up_to(session, offset)
    cdef int i
    cdef size_t at = 0
    cdef Buf out
    if not count:
        return 0
    out.ptr = NULL
    out.len = 0
    out.cap = 0
    for i in range(count):
        buf_append(&out, session.out.ptr + at, session.held[i].begin - at)
        buf_append(&out, <const char*>error, len(error))
        at = session.held[i].end
    buf_append(&out, session.out.ptr + at, session.out.len - at)
    for i in range(count, session.held_count):
        session.held[i].begin = session.held[i].begin + out.len - session.out.len
        session.held[i].end = session.held[i].end + out.len - session.out.len
    buf_free(&session.out)
    session.out = out
    drop_marks(session, count)
    wake(session)
    return count


def hold_unsent(Engine engine, passed_over):
    """Hold every reply of this tick that is still here, but of replicas and of the sessions passed over.

    Pushes and messages of subscriptions are no replies: they leave when what is before them does.
    """
    cdef Session s
    cdef size_t at, end
    for s in engine.pending:
        if s in passed_over or s.flags & (S_PRIMARY | S_REPLICA):
            continue
        if s.flags & S_PUBSUB and s.resp == 2:
            continue
        at = s.held[s.held_count - 1].end if s.held_count else 0
        while at < s.out.len:
            end = reply_end(s.out.ptr, s.out.len, at)
            if s.out.ptr[at] != c'>':
                hold_bytes(s, at, end)
            at = end


cdef size_t reply_end(const char* text, size_t size, size_t at) noexcept nogil:
    """Where the whole reply ends that begins at `at`; `size` if it is cut off."""
    cdef int64_t wanted = 1
    cdef int64_t count
    cdef char kind
    cdef bint negative
    while wanted and at < size:
        wanted -= 1
        kind = text[at]
        at += 1
        count = 0
        negative = False
        while at < size and text[at] != c'\r':
            if text[at] == c'-':
                negative = True
            elif c'0' <= text[at] <= c'9':
                count = count * 10 + (text[at] - c'0')
            at += 1
        at += 2
        if negative:
            continue
        if kind == c'$' or kind == c'=' or kind == c'!':
            at += count + 2
        elif kind == c'*' or kind == c'~' or kind == c'>':
            wanted += count
        elif kind == c'%':
            wanted += 2 * count
        elif kind == c'|':
            wanted += 2 * count + 1
    return at if at < size else size
