"""Scripts: EVAL and its relatives, SCRIPT (https://redis.io/docs/interact/programmability/eval-intro/).

What it is: which script is meant, whether it may run now, and the cache. What
it is not: running it (`scripting_run`). A body that was seen before is found
by its bytes; its SHA1 is computed once. Like Redis 7.2 the cache forgets nothing
before SCRIPT FLUSH.

The index of the family is `register` at the end.
"""

from libc.stdint cimport int64_t
from holdfast.commands.scripting_run cimport forget_scripts, run_script, world_of
from holdfast.commands.scripting_world cimport (
    SCRIPT_ALLOW_OOM, SCRIPT_ALLOW_STALE, SCRIPT_COMPAT, SCRIPT_NO_CLUSTER, SCRIPT_NO_WRITES, Script, World)
from holdfast.engine.buf cimport slice_bytes
from holdfast.engine.eviction cimport make_room
from holdfast.engine.monitor cimport feed_monitors
from holdfast.engine.numbers cimport parse_int64
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_array, reply_bulk, reply_error, reply_error_bytes, reply_int, reply_not_integer, reply_ok)
from holdfast.engine.state cimport (
    GUARD_CLUSTER, GUARD_FENCED, GUARD_LOADING, GUARD_MAXMEMORY, GUARD_MIN_REPLICAS, GUARD_MISCONF,
    GUARD_MONITORED, GUARD_REPLICA, S_LOADER, S_PRIMARY, Call, Engine, Session)

from holdfast.commands.help import help_command
from holdfast.commands.spec import KeySpec, Spec
from holdfast.engine.registry import add_container, add_function


cdef bint may_run(World w, Session s, Script script, bint read_only) except? False:
    """Whether a script may run now by the rules of its flags; otherwise it was answered."""
    cdef Engine e = w.engine
    cdef bint from_primary = (s.flags & (S_PRIMARY | S_LOADER)) != 0
    cdef bint stale = e.guard & GUARD_REPLICA and not e.link_up and not e.replica_serve_stale
    w.out_of_memory = e.guard & GUARD_MAXMEMORY and not from_primary and not e.guard & GUARD_LOADING \
        and not make_room(e)
    w.read_only = read_only
    w.allow_oom = False
    if script.flags & SCRIPT_COMPAT:
        if stale and not from_primary:
            reply_error(
                s, b"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.")
            return False
        return True
    if script.flags & SCRIPT_NO_CLUSTER and e.guard & GUARD_CLUSTER:
        reply_error(s, b"ERR Can not run script on cluster, 'no-cluster' flag is set.")
        return False
    if stale and not from_primary and not script.flags & SCRIPT_ALLOW_STALE:
        reply_error(s, b"MASTERDOWN Link with MASTER is down, replica-serve-stale-data is set to 'no' and "
                    b"'allow-stale' flag is not set on the script.")
        return False
    if not script.flags & SCRIPT_NO_WRITES:
        if e.guard & GUARD_REPLICA and e.replica_read_only and not from_primary:
            reply_error(s, b"READONLY Can not run script with write flag on readonly replica")
            return False
        if e.guard & GUARD_MISCONF and not from_primary:
            reply_error_bytes(s, e.node.write_refusal())
            return False
        if e.guard & GUARD_FENCED and not from_primary:
            refusal = e.node.fence_refusal(s)
            if refusal is not None:
                reply_error_bytes(s, refusal)
                return False
        if read_only:
            reply_error(s, b"ERR Can not execute a script with write flag using *_ro command.")
            return False
        if e.guard & GUARD_MIN_REPLICAS and not e.guard & GUARD_REPLICA \
                and e.good_replicas < e.min_replicas_to_write:
            reply_error(s, b"NOREPLICAS Not enough good replicas to write.")
            return False
    if w.out_of_memory and not script.flags & (SCRIPT_ALLOW_OOM | SCRIPT_NO_WRITES):
        reply_error(
            s, b"OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'")
        return False
    w.read_only = read_only or script.flags & SCRIPT_NO_WRITES
    w.allow_oom = script.flags & SCRIPT_ALLOW_OOM
    return True


cdef int run_call(Session s, Call* c, bint by_sha, bint read_only) except -1:
    cdef World w
    cdef Script script
    cdef bytes name
    cdef int64_t keys
    if by_sha and c.argv[1].len != 40:
        reply_error(s, b"NOSCRIPT No matching script. Please use EVAL.")
        return 0
    if not parse_int64(c.argv[2].ptr, c.argv[2].len, &keys):
        reply_not_integer(s)
        return 0
    if keys > c.argc - 3:
        reply_error(s, b"ERR Number of keys can't be greater than number of args")
        return 0
    if keys < 0:
        reply_error(s, b"ERR Number of keys can't be negative")
        return 0
    w = world_of(s.engine)
    name = slice_bytes(c.argv[1])
    if by_sha:
        script = w.by_sha.get(name.lower())
        if script is None:
            reply_error(s, b"NOSCRIPT No matching script. Please use EVAL.")
            return 0
    else:
        script = w.by_body.get(name)
        if script is None:
            script = w.compile(s, name)
            if script is None:
                return 0
    if not may_run(w, s, script, read_only):
        return 0
    if s.engine.guard & GUARD_MONITORED:
        feed_monitors(s, c)         # before the calls that it makes
    return run_script(w, s, script, c.argv + 3, <int>keys, c.argv + 3 + keys, c.argc - 3 - <int>keys)


cdef int eval_(Session s, Call* c) except -1:
    return run_call(s, c, False, False)


cdef int eval_ro(Session s, Call* c) except -1:
    return run_call(s, c, False, True)


cdef int evalsha(Session s, Call* c) except -1:
    return run_call(s, c, True, False)


cdef int evalsha_ro(Session s, Call* c) except -1:
    return run_call(s, c, True, True)


cdef int load(Session s, Call* c) except -1:
    cdef World w = world_of(s.engine)
    cdef bytes body = slice_bytes(c.argv[2])
    cdef Script script = w.by_body.get(body)
    if script is None:
        script = w.compile(s, body)
    if script is not None:
        reply_bulk(s, script.sha, 40)
    return 0


cdef int exists(Session s, Call* c) except -1:
    cdef World w = world_of(s.engine)
    cdef int i
    reply_array(s, c.argc - 2)
    for i in range(2, c.argc):
        reply_int(s, 1 if slice_bytes(c.argv[i]).lower() in w.by_sha else 0)
    return 0


cdef int flush(Session s, Call* c) except -1:
    if c.argc > 3 or (c.argc == 3 and slice_bytes(c.argv[2]).lower() not in (b"sync", b"async")):
        reply_error(s, b"ERR SCRIPT FLUSH only support SYNC|ASYNC option")
        return 0
    if s.engine.script_engine is not None:
        forget_scripts(world_of(s.engine))
    reply_ok(s)
    return 0


cdef int kill(Session s, Call* c) except -1:
    cdef World w
    if s.engine.script_engine is None or world_of(s.engine).running is None:
        reply_error(s, b"NOTBUSY No scripts in execution right now.")
        return 0
    w = world_of(s.engine)
    if w.caller.flags & (S_PRIMARY | S_LOADER):
        reply_error(
            s, b"UNKILLABLE The busy script was sent by a master instance in the context of replication and "
            b"cannot be killed.")
    elif w.wrote:
        reply_error(
            s, b"UNKILLABLE Sorry the script already executed write commands against the dataset. You can "
            b"either wait the script termination or kill the server in a hard way using the SHUTDOWN "
            b"NOSAVE command.")
    else:
        w.killed = True
        reply_ok(s)
    return 0


cdef int debug(Session s, Call* c) except -1:
    cdef bytes mode = slice_bytes(c.argv[2]).lower()
    if mode == b"no":
        reply_ok(s)
    elif mode in (b"yes", b"sync"):
        reply_error(s, b"ERR The debugger of scripts is not available")
    else:
        reply_error(s, b"ERR Use SCRIPT DEBUG YES/SYNC/NO")
    return 0


HELP = (
    "DEBUG (YES|SYNC|NO)",
    "    How the scripts that follow are debugged.",
    "EXISTS <sha1> [<sha1> ...]",
    "    Whether scripts are in the cache.",
    "FLUSH [ASYNC|SYNC]",
    "    Forget all scripts.",
    "    Without a mode lazyfree-lazy-user-flush decides. The modes:",
    "    * ASYNC: free the memory later.",
    "    * SYNC: free the memory before the reply.",
    "KILL",
    "    End the script that runs.",
    "LOAD <script>",
    "    Put a script into the cache without running it.",
)


def scripting(name, arity, flags, since, summary, complexity, **more):
    """Return the specification of a command of this family."""
    return Spec(name, arity, flags, group="scripting", since=since, summary=summary, complexity=complexity,
                categories="scripting", **more)


cpdef int register(Engine e) except -1:
    """The index of the family."""
    writing = "noscript skip_monitor may_replicate no_mandatory_keys stale movablekeys"
    reading = "noscript skip_monitor no_mandatory_keys stale readonly movablekeys"
    any_keys = (KeySpec("RW access update", 2, keynum=0),)
    read_keys = (KeySpec("RO access", 2, keynum=0),)

    depends = "Depends on the script that is executed."
    command(e, eval_, scripting(
        "eval", -3, writing, "2.6.0", "Run a script.", depends, key_specs=any_keys))
    command(e, evalsha, scripting(
        "evalsha", -3, writing, "2.6.0", "Run a cached script by its SHA1.", depends, key_specs=any_keys))
    command(e, eval_ro, scripting(
        "eval_ro", -3, reading, "7.0.0", "Run a script that only reads.", depends, key_specs=read_keys))
    command(e, evalsha_ro, scripting(
        "evalsha_ro", -3, reading, "7.0.0", "Run a cached script that only reads.", depends,
        key_specs=read_keys))
    add_container(e, Spec(
        "script", -2, "container", group="scripting", since="2.6.0",
        summary="Work with the cache of scripts.",
        complexity="Depends on subcommand."))
    command(e, load, scripting(
        "script|load", 3, "noscript stale", "2.6.0", "Put a script into the cache.",
        "O(N) with N being the length in bytes of the script body.",
        tips=("request_policy:all_nodes", "response_policy:all_succeeded")))
    command(e, exists, scripting(
        "script|exists", -3, "noscript", "2.6.0", "Tell which scripts are in the cache.",
        "O(N) with N being the number of scripts to check (so checking a single script is an O(1) "
        "operation).",
        tips=("request_policy:all_shards", "response_policy:agg_logical_and")))
    command(e, flush, scripting(
        "script|flush", -2, "noscript", "2.6.0", "Forget all scripts.",
        "O(N) with N being the number of scripts in cache",
        tips=("request_policy:all_nodes", "response_policy:all_succeeded")))
    command(e, kill, scripting(
        "script|kill", 2, "noscript allow_busy", "2.6.0", "End the script that runs.", "O(1)",
        tips=("request_policy:all_shards", "response_policy:one_succeeded")))
    command(e, debug, scripting(
        "script|debug", 3, "noscript", "3.2.0", "Say how scripts are debugged.", "O(1)"))
    helping = scripting("script|help", 2, "loading stale", "5.0.0", "How the subcommands are called.", "O(1)")
    add_function(e, helping, help_command("SCRIPT", HELP))
    return 0
