"""What the keeper of files asks of an engine and its sessions.

Small doors to fields that are not Python's; no decision is made here.
"""

from holdfast.engine.databases cimport ks_flush
from holdfast.engine.state cimport (
    GUARD_LOADING, GUARD_MISCONF, GUARD_PRIMARY, S_LOADER, S_PENDING, Engine, Session)
from holdfast.engine.table cimport table_expand


def in_unit(Engine engine not None):
    """Tell whether a transaction or script is under way: its effects are not whole yet."""
    return engine.unit_depth > 0


def writers_of_tick(Engine engine not None):
    """Return how many sessions have replies to go out with this tick's effects; 0: there are no effects."""
    return len(engine.pending) if engine.stream.len else 0


def hold_replies(Engine engine not None, long long offset):
    """Take out of the pending sessions, and return, those that wrote after `offset`."""
    cdef Session s
    cdef list held = []
    cdef list free = []
    for s in engine.pending:
        if s.write_offset > offset and not s.flags & S_LOADER:
            held.append(s)
        else:
            free.append(s)
    if held:
        engine.pending = free
    return held


def release_replies(Engine engine not None, list held not None):
    """Make held sessions pending again."""
    cdef Session s
    cdef set pending = set(engine.pending)
    for s in held:
        s.flags |= S_PENDING
        if s not in pending:
            engine.pending.append(s)


def empty(Engine engine not None):
    """Drop all keys of all databases."""
    cdef int i
    for i in range(engine.ks.db_count):
        ks_flush(&engine.ks, &engine.ks.dbs[i], False)


def raise_guard(Engine engine not None, bint misconf):
    """Raise or lower the guard that answers writes with MISCONF."""
    engine.guard = engine.guard | GUARD_MISCONF if misconf else engine.guard & ~GUARD_MISCONF


def set_loading(Engine engine not None, bint loading):
    """Raise or lower the guard that answers with LOADING."""
    engine.guard = engine.guard | GUARD_LOADING if loading else engine.guard & ~GUARD_LOADING


def make_loader(Session session not None):
    """Let a session replay a file: no replies, nothing propagated, no expiry."""
    session.flags |= S_LOADER
    session.guard |= GUARD_PRIMARY


def make_room(Engine engine not None, size_t keys):
    """Let the table of database 0 grow once for keys to come."""
    if engine.ks.dbs[0].tables == 1:
        table_expand(&engine.ks.heap, engine.ks.dbs[0].table, keys)
