"""The world of an engine's scripts: one state of Lua, and the scripts it knows.

What it is: what all scripts of one engine share, and what the one that runs says of
itself; and how a body becomes a script (`World.compile`). What it is not: how one runs
(`scripting_run`), what it finds to call (`scripting_call`, `scripting_library`), or
which may run (`scripting`).
"""

from hashlib import sha1

from libc.stdint cimport uint64_t
from libc.stdlib cimport free
from holdfast.commands.scripting_lua cimport REGISTRY, Function, State, load_lua, lua
from holdfast.engine.buf cimport buf_free
from holdfast.engine.reply cimport reply_error, reply_error_bytes
from holdfast.engine.state cimport S_DENY_BLOCKING, S_SCRIPT, Engine, Session

_FLAGS = {
    b"no-writes": SCRIPT_NO_WRITES, b"allow-oom": SCRIPT_ALLOW_OOM, b"allow-stale": SCRIPT_ALLOW_STALE,
    b"no-cluster": SCRIPT_NO_CLUSTER, b"allow-cross-slot-keys": SCRIPT_CROSS_SLOT,
}


cdef class Script:
    """A compiled script."""


cdef tuple read_shebang(bytes body):
    """(flags, length of the line without its end, error or None) of a script."""
    cdef bytes word, flag
    cdef int flags = 0
    if not body.startswith(b"#!"):
        return SCRIPT_COMPAT, 0, None
    end = body.find(b"\n")
    if end < 0:
        return 0, 0, b"ERR Invalid script shebang"
    words = body[:end].split()
    if words[0] != b"#!lua":
        return 0, 0, b"ERR Unexpected engine in script shebang: " + words[0]
    for word in words[1:]:
        if not word.startswith(b"flags="):
            return 0, 0, b"ERR Unknown lua shebang option: " + word
        for flag in word[6:].split(b","):
            if flag not in _FLAGS:
                if word == b"flags=":
                    continue
                return 0, 0, b"ERR Unexpected flag in script shebang: " + flag
            flags |= _FLAGS[flag]
    return flags, end, None


cdef class World:
    """All that the scripts of one engine share."""

    def __cinit__(self, Engine engine):
        load_lua()
        self.engine = engine
        self.session = Session(engine, None)
        self.session.flags |= S_SCRIPT | S_DENY_BLOCKING
        self.by_body = {}
        self.by_sha = {}
        self.luck = (<uint64_t>0x1234ABCD << 16) | 0x330E

    def __dealloc__(self):
        if self.L != NULL:
            lua.close(self.L)
        free(self.argv)
        buf_free(&self.digits)

    def memory(self):
        """Return how many scripts are known ("count"), bytes of their texts ("texts") and of Lua ("vm")."""
        texts = sum(len(body) for body in self.by_body)
        return {"vm": lua.gc(self.L, 3, 0) * 1024, "texts": texts, "count": len(self.by_sha)}

    cdef void method(self, const char* name, Function function) noexcept:
        """Declare a function that works for this world in the table on top."""
        lua.pushlightuserdata(self.L, <void*>self)
        lua.pushcclosure(self.L, function, 1)
        lua.setfield(self.L, -2, name)

    cdef void constant(self, const char* name, double value) noexcept:
        lua.pushnumber(self.L, value)
        lua.setfield(self.L, -2, name)

    cdef Script compile(self, Session s, bytes body):
        """The script of a body; None: it does not compile, and that was answered."""
        cdef Script script
        cdef State* L = self.L
        cdef bytes rest
        flags, start, error = read_shebang(body)
        if error is not None:
            reply_error_bytes(s, error)
            return None
        rest = body[start:]
        if rest[:1] == b"\x1b":
            reply_error(
                s, b"ERR Error compiling script (new function): user_script: precompiled code is not allowed")
            return None
        if lua.loadbuffer(L, rest, len(rest), b"@user_script"):
            reply_error_bytes(s, b"ERR Error compiling script (new function): " + lua.tolstring(L, -1, NULL))
            lua.settop(L, BASE)
            return None
        script = Script.__new__(Script)
        script.body = body
        script.sha = sha1(body, usedforsecurity=False).hexdigest().encode()
        script.flags = flags
        script.function = lua.ref(L, REGISTRY)
        self.by_body[body] = script
        self.by_sha[script.sha] = script
        return script
