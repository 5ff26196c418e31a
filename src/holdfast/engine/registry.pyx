"""The command table of an engine: names to commands.

What it is: declaration (from C handlers with `command`, from Python functions
with `add_function`) and look-up. Each engine has a table of its own, because
the counters in it are the node's. A specification is a
`holdfast.commands.spec.Spec`.
"""

from libc.stdint cimport uint16_t, uint32_t
from libc.stdlib cimport abort, realloc
from libc.string cimport memcpy, memset, strlen
from holdfast.engine.buf cimport slice_bytes
from holdfast.engine.reply cimport reply_error_bytes, reply_value
from holdfast.engine.state cimport Call, Command, Engine, Session, handler_t

from holdfast.engine.values import CommandError

cdef enum:
    PLACES = 4096           # of Engine.command_index
    NAME_MAX = 39


cdef inline uint32_t name_hash(const char* name, size_t n) noexcept nogil:
    cdef uint32_t h = 2166136261u
    cdef size_t i
    for i in range(n):
        h = (h ^ (<unsigned char>name[i] | 0x20)) * 16777619u
    return (h ^ (h >> 15)) & (PLACES - 1)


cdef inline bint same_name(const char* stored, const char* name, size_t n) noexcept nogil:
    cdef size_t i
    cdef unsigned char c
    for i in range(n):
        c = name[i]
        if c'A' <= c <= c'Z':
            c += 32
        if <unsigned char>stored[i] != c:
            return False
    return stored[n] == 0


cdef Command* find_command(Engine e, const char* name, size_t n) noexcept nogil:
    cdef uint32_t place
    cdef uint16_t id
    if n > NAME_MAX:
        return NULL
    place = name_hash(name, n)
    while True:
        id = e.command_index[place]
        if id == 0:
            return NULL
        if same_name(e.commands[id - 1].name, name, n):
            return &e.commands[id - 1]
        place = (place + 1) & (PLACES - 1)


cdef Command* find_subcommand(Engine e, Command* container, const char* name, size_t n) noexcept nogil:
    cdef char whole[NAME_MAX + 1]
    cdef size_t before = strlen(container.name)
    if before + 1 + n > NAME_MAX:
        return NULL
    memcpy(whole, container.name, before)
    whole[before] = c'|'
    memcpy(whole + before + 1, name, n)
    return find_command(e, whole, before + 1 + n)


cdef int command(Engine e, handler_t handler, object spec) except -1:
    cdef bytes name = spec.name.encode()
    cdef Command* c
    if len(name) > NAME_MAX or find_command(e, name, len(name)) != NULL:
        raise ValueError(f"command {spec.name!r} is too long or declared twice")
    if e.command_count == e.command_cap:
        # Sessions point at commands: the table is built before the first session.
        e.command_cap = 512 if e.command_cap == 0 else e.command_cap * 2
        e.commands = <Command*>realloc(e.commands, e.command_cap * sizeof(Command))
        if e.commands == NULL:
            abort()
    c = &e.commands[e.command_count]
    memset(c, 0, sizeof(Command))
    memcpy(c.name, <const char*>name, len(name))
    c.handler = handler
    c.arity = spec.arity
    c.flags = spec.flag_bits
    c.categories = spec.category_bits
    c.first_key, c.last_key, c.key_step = spec.keys
    c.id = e.command_count
    e.command_count += 1
    e.specs.append(spec)
    e.functions.append(None)
    add_to_index(e, c)
    return 0


cdef void add_to_index(Engine e, Command* c) noexcept nogil:
    cdef uint32_t place = name_hash(c.name, strlen(c.name))
    while e.command_index[place]:
        place = (place + 1) & (PLACES - 1)
    e.command_index[place] = <uint16_t>(c.id + 1)


cdef int call_function(Session s, Call* c) except -1:
    """Run a command written in Python: list of bytes in, a reply value out."""
    cdef int i
    cdef int id = c.command.id
    cdef list args = [slice_bytes(c.argv[i]) for i in range(c.argc)]
    try:
        value = s.engine.functions[id](s, args)
    except CommandError as error:
        reply_error_bytes(s, str(error).encode("utf-8", "surrogateescape"))
        return 0
    return reply_value(s, value)


def add_function(Engine engine, spec, function):
    """Declare a command written in Python: ``function(session, args) -> reply value``.

    `args` are bytes, the name first. `CommandError` becomes an error reply.
    """
    command(engine, call_function, spec)
    engine.functions[engine.command_count - 1] = function


def add_container(Engine engine, spec):
    """Declare a command that exists only through its sub-commands (``config|get``)."""
    command(engine, NULL, spec)


def command_names(Engine engine):
    """Return the names of all commands, sub-commands as ``config|get``."""
    return [
        engine.commands[i].name.decode() for i in range(engine.command_count) if engine.commands[i].name[0]]


def rename_command(Engine engine, str name, str new_name):
    """Let a command and its sub-commands answer to another name ("": to none); False: there is none."""
    cdef bytes old = name.lower().encode("utf-8", "surrogateescape")
    cdef bytes fresh = new_name.lower().encode("utf-8", "surrogateescape")
    cdef bytes own
    cdef int i
    if find_command(engine, old, len(old)) == NULL or b"|" in old:
        return False
    if len(fresh) > NAME_MAX or (fresh and find_command(engine, fresh, len(fresh)) != NULL):
        raise ValueError(f"{new_name} is too long, or the name of another command")
    for i in range(engine.command_count):
        own = engine.commands[i].name
        if own == old or own.startswith(old + b"|"):
            own = (fresh + own[len(old):])[:NAME_MAX] if fresh else b""
            memset(engine.commands[i].name, 0, sizeof(engine.commands[i].name))
            memcpy(engine.commands[i].name, <const char*>own, len(own))
    memset(engine.command_index, 0, PLACES * sizeof(uint16_t))
    for i in range(engine.command_count):
        if engine.commands[i].name[0]:
            add_to_index(engine, &engine.commands[i])
    return True


def command_stats(Engine engine, str name):
    """Return (calls, nanoseconds, rejected, failed) of a command, or None if there is none."""
    cdef bytes text = name.encode()
    cdef Command* c = find_command(engine, text, len(text))
    if c == NULL:
        return None
    return c.calls, c.usec_x1000, c.rejected, c.failed


def reset_stats(Engine engine):
    """Set the counters of all commands to zero (CONFIG RESETSTAT)."""
    cdef int i
    for i in range(engine.command_count):
        engine.commands[i].calls = 0
        engine.commands[i].usec_x1000 = 0
        engine.commands[i].rejected = 0
        engine.commands[i].failed = 0


def specification(Engine engine, str name):
    """Return the Spec of a command, or None."""
    cdef bytes text = name.encode()
    cdef Command* c = find_command(engine, text, len(text))
    return None if c == NULL else engine.specs[c.id]
