"""Publish and subscribe (https://redis.io/docs/manual/pubsub/).

What it is: the commands that fill and read the tables of subscribers. What it
is not: delivery (`events.publish`), or the bus of a cluster, which takes
messages through `Engine.publish_hook`.

Without a cluster a published message goes to the replicas through the effects,
as the client sent it.

The index of the family is `register` at the end.
"""

from holdfast.engine.buf cimport slice_bytes
from holdfast.engine.effects cimport effect_request
from holdfast.engine.events cimport publish, subscribe, unsubscribe, update_subscribed
from holdfast.engine.glob cimport glob_match
from holdfast.engine.registry cimport command
from holdfast.engine.reply cimport (
    reply_array, reply_array_at, reply_bulk, reply_error, reply_error_bytes, reply_int, reply_later,
    reply_null, reply_push, reply_slice, reply_text, wake)
from holdfast.engine.state cimport S_DENY_BLOCKING, S_EXECUTING, Call, Engine, Session

from holdfast.commands.help import help_command
from holdfast.commands.spec import KeySpec, Spec
from holdfast.engine.registry import add_container, add_function

cdef enum Kind:
    CHANNEL
    PATTERN
    SHARD


cdef dict own_table(Session s, Kind kind):
    if kind == CHANNEL:
        if s.channels is None:
            s.channels = {}
        return s.channels
    if kind == PATTERN:
        if s.patterns is None:
            s.patterns = {}
        return s.patterns
    if s.shard_channels is None:
        s.shard_channels = {}
    return s.shard_channels


cdef dict shared_table(Engine e, Kind kind):
    if kind == CHANNEL:
        return e.channels
    return e.patterns if kind == PATTERN else e.shard_channels


cdef int confirm(Session s, Kind kind, const char* verb, bytes name) except -1:
    """Tell the client of a subscription that began or ended, and how many are left."""
    reply_push(s, 3)
    reply_text(s, verb)
    if name is None:
        reply_null(s)
    else:
        reply_bulk(s, name, len(name))
    if kind == SHARD:
        reply_int(s, len(own_table(s, SHARD)))
    else:
        reply_int(s, len(own_table(s, CHANNEL)) + len(own_table(s, PATTERN)))
    return 0


cdef int begin(Session s, Call* c, Kind kind, const char* verb, const char* refusal) except -1:
    cdef int i
    cdef bytes name
    if s.flags & S_DENY_BLOCKING and (kind == SHARD or not s.flags & S_EXECUTING):
        reply_error(s, refusal)
        return 0
    for i in range(1, c.argc):
        name = slice_bytes(c.argv[i])
        subscribe(shared_table(s.engine, kind), own_table(s, kind), name, s)
        confirm(s, kind, verb, name)
    update_subscribed(s)
    return 0


cdef int end(Session s, Call* c, Kind kind, const char* verb) except -1:
    cdef bytes name
    cdef int i
    cdef dict own = own_table(s, kind)
    cdef list names = [slice_bytes(c.argv[i]) for i in range(1, c.argc)] if c.argc > 1 else list(own)
    for name in names:
        unsubscribe(shared_table(s.engine, kind), own, name, s)
        confirm(s, kind, verb, name)
    if not names:
        confirm(s, kind, verb, None)
    update_subscribed(s)
    return 0


cdef int subscribe_(Session s, Call* c) except -1:
    return begin(s, c, CHANNEL, b"subscribe", b"ERR SUBSCRIBE isn't allowed for a DENY BLOCKING client")


cdef int psubscribe(Session s, Call* c) except -1:
    return begin(s, c, PATTERN, b"psubscribe", b"ERR PSUBSCRIBE isn't allowed for a DENY BLOCKING client")


cdef int ssubscribe(Session s, Call* c) except -1:
    return begin(s, c, SHARD, b"ssubscribe", b"ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client")


cdef int unsubscribe_(Session s, Call* c) except -1:
    return end(s, c, CHANNEL, b"unsubscribe")


cdef int punsubscribe(Session s, Call* c) except -1:
    return end(s, c, PATTERN, b"punsubscribe")


cdef int sunsubscribe(Session s, Call* c) except -1:
    return end(s, c, SHARD, b"sunsubscribe")


def drop_shard_channel(Engine e, bytes name):
    """End all subscriptions to a shard channel (its slot has left this shard), and tell the clients."""
    cdef Session s
    for s in list(e.shard_channels.get(name, ())):
        unsubscribe(e.shard_channels, own_table(s, SHARD), name, s)
        confirm(s, SHARD, b"sunsubscribe", name)
        update_subscribed(s)
        wake(s)


cdef int send(Session s, Call* c, bint sharded) except -1:
    cdef Engine e = s.engine
    cdef bytes channel = slice_bytes(c.argv[1])
    cdef bytes message = slice_bytes(c.argv[2])
    reply_int(s, publish(e, channel, message, sharded))
    if e.publish_hook is not None:
        e.publish_hook(channel, message, sharded)
    else:
        effect_request(e, s.db.id, c)
        e.call_effects += 1
    return 0


cdef int publish_(Session s, Call* c) except -1:
    return send(s, c, False)


cdef int spublish(Session s, Call* c) except -1:
    return send(s, c, True)


cdef int list_channels(Session s, Call* c, dict table, const char* name) except -1:
    cdef bytes channel
    cdef size_t at = reply_later(s)
    cdef size_t count = 0
    if c.argc > 3:
        reply_error_bytes(
            s, b"ERR unknown subcommand or wrong number of arguments for '%s'. Try PUBSUB HELP."
            % slice_bytes(c.argv[1])[:128])
        return 0
    for channel in table:
        if c.argc == 2 or glob_match(c.argv[2].ptr, c.argv[2].len, channel, len(channel), False):
            reply_bulk(s, channel, len(channel))
            count += 1
    reply_array_at(s, at, count)
    return 0


cdef int count_subscribers(Session s, Call* c, dict table) except -1:
    cdef int i
    reply_array(s, 2 * (c.argc - 2))
    for i in range(2, c.argc):
        reply_slice(s, c.argv[i])
        reply_int(s, len(table.get(slice_bytes(c.argv[i]), ())))
    return 0


cdef int channels(Session s, Call* c) except -1:
    return list_channels(s, c, s.engine.channels, b"channels")


cdef int shardchannels(Session s, Call* c) except -1:
    return list_channels(s, c, s.engine.shard_channels, b"shardchannels")


cdef int numsub(Session s, Call* c) except -1:
    return count_subscribers(s, c, s.engine.channels)


cdef int shardnumsub(Session s, Call* c) except -1:
    return count_subscribers(s, c, s.engine.shard_channels)


cdef int numpat(Session s, Call* c) except -1:
    reply_int(s, len(s.engine.patterns))
    return 0


HELP = (
    "CHANNELS [<pattern>]",
    "    The channels that someone listens to, of those that match the pattern.",
    "NUMPAT",
    "    How many patterns someone listens to.",
    "NUMSUB [<channel> ...]",
    "    How many listen to each channel, patterns not counted.",
    "SHARDCHANNELS [<pattern>]",
    "    The shard channels that someone listens to, of those that match the pattern.",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    How many listen to each shard channel.",
)


def pubsub(name, arity, flags, since, summary, complexity, **more):
    """Return the specification of a command of this family."""
    return Spec(
        name, arity, flags, group="pubsub", since=since, summary=summary, complexity=complexity, **more)


cpdef int register(Engine e) except -1:
    """The index of the family."""
    listening = "pubsub noscript loading stale"
    asking = "pubsub loading stale"
    shard_keys = (KeySpec("not_key", 1, last=-1),)

    command(e, subscribe_, pubsub(
        "subscribe", -2, listening, "2.0.0", "Listen to channels.",
        "O(N) where N is the number of channels to subscribe to."))
    command(e, psubscribe, pubsub(
        "psubscribe", -2, listening, "2.0.0", "Listen to all channels that match one of the patterns.",
        "O(N) where N is the number of patterns to subscribe to."))
    command(e, ssubscribe, pubsub(
        "ssubscribe", -2, listening, "7.0.0", "Listen to shard channels.",
        "O(N) where N is the number of shard channels to subscribe to.", keys=(1, -1, 1),
        key_specs=shard_keys))
    command(e, unsubscribe_, pubsub(
        "unsubscribe", -1, listening, "2.0.0", "Stop listening to channels, to all when none is given.",
        "O(N) where N is the number of channels to unsubscribe."))
    command(e, punsubscribe, pubsub(
        "punsubscribe", -1, listening, "2.0.0", "Stop listening to patterns, to all when none is given.",
        "O(N) where N is the number of patterns to unsubscribe."))
    command(e, sunsubscribe, pubsub(
        "sunsubscribe", -1, listening, "7.0.0",
        "Stop listening to shard channels, to all when none is given.",
        "O(N) where N is the number of shard channels to unsubscribe.", keys=(1, -1, 1),
        key_specs=shard_keys))
    command(e, publish_, pubsub(
        "publish", 3, "pubsub loading stale fast may_replicate", "2.0.0", "Send a message to a channel.",
        "O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total "
        "number of "
        "subscribed patterns (by any client)."))
    command(e, spublish, pubsub(
        "spublish", 3, "pubsub loading stale fast may_replicate", "7.0.0",
        "Send a message to a shard channel.",
        "O(N) where N is the number of clients subscribed to the receiving shard channel.", keys=(1, 1, 1),
        key_specs=(KeySpec("not_key", 1),)))
    add_container(e, pubsub(
        "pubsub", -2, "container", "2.8.0", "Questions about subscriptions.", "Depends on subcommand."))
    command(e, channels, pubsub(
        "pubsub|channels", -2, asking, "2.8.0", "The channels that someone listens to.",
        "O(N) where N is the number of active channels, and assuming constant time pattern matching "
        "(relatively "
        "short channels and patterns)"))
    command(e, numsub, pubsub(
        "pubsub|numsub", -2, asking, "2.8.0", "How many listen to each channel.",
        "O(N) for the NUMSUB subcommand, where N is the number of requested channels"))
    command(e, numpat, pubsub(
        "pubsub|numpat", 2, asking, "2.8.0", "How many patterns someone listens to.", "O(1)"))
    command(e, shardchannels, pubsub(
        "pubsub|shardchannels", -2, asking, "7.0.0", "The shard channels that someone listens to.",
        "O(N) where N is the number of active shard channels, and assuming constant time pattern matching "
        "(relatively short shard channels)."))
    command(e, shardnumsub, pubsub(
        "pubsub|shardnumsub", -2, asking, "7.0.0", "How many listen to each shard channel.",
        "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels"))
    helping = pubsub("pubsub|help", 2, "loading stale", "6.2.0", "How the subcommands are called.", "O(1)")
    add_function(e, helping, help_command("PUBSUB", HELP))
    return 0
