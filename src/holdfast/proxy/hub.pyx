"""Subscriptions: one connection to each server, for the clients of all.

What it is: the ear of the proxy. Clients subscribe in the proxy's own engine, as
in a server; the hub sees that each name somebody listens to is subscribed to once
at the server where its messages are published, and hands messages on as they
came. A client's confirmation waits until the server's is there, so that nothing
published after it is missed. What it is not: a memory. A lost connection is made
anew and its subscriptions with it; messages of the gap are lost, as they are when
a client loses its own.

Where a name belongs: a channel to the shard that the name hashes to, as PUBLISH
goes there; a pattern, and channels of key-space notifications (`__key...`), which
each server fills itself, to all shards. The nodes of a cluster pass on to each other
what is published, so there of each pattern's messages only one server's are taken, and
a channel may stay where it is heard while slots move. A shard channel may not: the
server that gives its slot away ends the subscription, and it is made where the slot is.

A server that refuses a subscription for good is quoted to the client; one that says that
it cannot now, or that the slot is elsewhere, is asked again or left for the other.

How to read it: `hears` and `settle` are asked by the data path; `Ear` is one
connection; `Hub.follow_all` sees that all is heard where it should be.
"""

from collections import deque

from cpython.bytes cimport PyBytes_AS_STRING
from holdfast.engine.buf cimport buf_append
from holdfast.engine.reply cimport wake
from holdfast.engine.state cimport Engine, Session
from holdfast.proxy.shapes cimport Client, Target

from holdfast.proxy.link import close, open_private, send_words

KINDS = {
    b"subscribe": b"channel", b"psubscribe": b"pattern", b"ssubscribe": b"shard",
    b"unsubscribe": b"channel", b"punsubscribe": b"pattern", b"sunsubscribe": b"shard"}
BEGIN = {b"channel": b"SUBSCRIBE", b"pattern": b"PSUBSCRIBE", b"shard": b"SSUBSCRIBE"}
END = {b"channel": b"UNSUBSCRIBE", b"pattern": b"PUNSUBSCRIBE", b"shard": b"SUNSUBSCRIBE"}
MESSAGES = {b"message": b"channel", b"pmessage": b"pattern", b"smessage": b"shard"}
RETRY_S = 0.2
SOON_S = 0.02
PASSING = (b"-MOVED", b"-ASK", b"-TRYAGAIN", b"-CLUSTERDOWN", b"-LOADING", b"-MASTERDOWN")
"""Errors of a server that say that a subscription may be had later, or elsewhere."""


cdef int fan_out(Engine e, dict table, bytes name, bytes frame) except -1:
    cdef Session to
    cdef int receivers = 0
    cdef const char* p = PyBytes_AS_STRING(frame)
    cdef size_t n = len(frame)
    found = table.get(name)
    if found:
        for to in found:
            buf_append(&to.out, p, n)
            to.out.ptr[to.out.len - n] = c'>' if to.resp == 3 else c'*'
            wake(to)
            receivers += 1
    return receivers


def first_words(bytes frame, int count):
    """Return the first bulk strings of an array; None in the place of what is no bulk string."""
    cdef list words = []
    cdef Py_ssize_t at = frame.index(b"\n") + 1, end, size
    while len(words) < count and at < len(frame):
        end = frame.index(b"\r\n", at)
        if frame[at] != c'$' or frame[at + 1] == c'-':
            words.append(None)
            at = end + 2
            continue
        size = int(frame[at + 1:end])
        words.append(frame[end + 2:end + 2 + size])
        at = end + 2 + size + 2
    return words


class Ear:
    """The connection of the hub to one server, and what is subscribed to there."""

    def __init__(self, hub, shard):
        self.hub = hub
        self.shard = shard
        self.link = None
        self.wanted = {}        # (kind, name): whether the server has confirmed it
        self.asked = deque()    # (words, kind, name) of requests that are not answered, in their order

    def want(self, kind, name):
        """Subscribe, if that is not done."""
        if (kind, name) in self.wanted:
            return
        self.wanted[kind, name] = False
        self.say(BEGIN, kind, name)

    def drop(self, kind, name):
        """End a subscription."""
        if self.wanted.pop((kind, name), None) is None:
            return
        self.say(END, kind, name)
        if not self.wanted:
            self.close()

    def ask_again(self):
        """Subscribe to what was refused or taken away."""
        awaited = {(kind, name) for _, kind, name in self.asked}
        for key in [key for key, heard in self.wanted.items() if not heard and key not in awaited]:
            self.say(BEGIN, *key)

    def is_open(self):
        """Whether there is a connection."""
        return self.link is not None and not self.link.closed

    def say(self, verbs, kind, name):
        """Send a request, over a new connection where there is none."""
        if self.is_open():
            self.asked.append((verbs, kind, name))
            send_words(self.link, [verbs[kind], name])
            return
        self.connect()

    def connect(self):
        """Connect, and subscribe to all that is wanted."""
        backend = self.shard.primary
        if not self.wanted:
            return
        if backend is None:
            self.hub.later(self)
            return
        for key in self.wanted:
            self.wanted[key] = False
        self.link = open_private(backend, 0, 2)
        self.link.push_sink = self.take
        self.asked.clear()
        for kind, name in self.wanted:
            self.say(BEGIN, kind, name)
        self.hub.later(self)

    def look(self):
        """The connection may be gone."""
        if not self.wanted:
            return
        if self.link is None or self.link.closed:
            self.connect()
        else:
            self.hub.later(self)

    def take(self, frame):
        """A message, the confirmation or the end of a subscription, or an error."""
        if frame.startswith(b"-"):
            verbs, *key = self.asked.popleft() if self.asked else (END, None, None)
            if verbs is BEGIN:
                self.hub.refused(self, *key, frame.strip())
            return
        words = first_words(frame, 3)
        if not words or words[0] is None:
            return
        kind = MESSAGES.get(words[0])
        if kind is not None:
            if kind != b"pattern" or self.hub.speaks(self, kind, words[1], words[2]):
                self.hub.deliver(kind, words[1], frame)
            return
        if words[0] not in KINDS:
            return
        key = KINDS[words[0]], words[1]
        verbs = END if b"un" in words[0] else BEGIN
        awaited = bool(self.asked) and self.asked[0] == (verbs, *key)
        if awaited:
            self.asked.popleft()
        if verbs is BEGIN and key in self.wanted:
            self.wanted[key] = True
            self.hub.heard()
        elif verbs is END and not awaited and key in self.wanted:
            self.wanted[key] = False        # its slot is elsewhere now
            self.hub.astray()

    def close(self):
        """Close the connection."""
        link, self.link = self.link, None
        if link is not None and not link.closed:
            link.push_sink = None
            close(link)


class Hub:
    """What clients listen to, heard once."""

    def __init__(self, exchange):
        self.exchange = exchange
        self.ears = {}          # shard: its ear
        self.waiting = {}       # clients whose subscription is not heard yet: (words, until)
        self.places = {}        # (kind, name): targets where it is listened to
        self.problems = {}      # (kind, name): why a server refused it, until a client has been told
        self.following = False

    def _names(self, words):
        verb = words[0].lower()
        kind = KINDS.get(verb)
        return (None, ()) if kind is None or b"un" in verb else (kind, words[1:])

    def _shards(self, Target target, kind, bytes name):
        if kind == b"pattern" or name.startswith(b"__key"):
            return list(getattr(target, "whole", target.shards))
        ordinal = target.shard_of(name, len(name))
        return [] if ordinal < 0 else [target.shards[ordinal]]

    def _ear(self, shard):
        if shard not in self.ears:
            self.ears[shard] = Ear(self, shard)
        return self.ears[shard]

    def hears(self, Client client, words):
        """Whether all that a subscription names is heard; else it will be, and the client goes on then.

        An error where a server refused it.
        """
        kind, names = self._names(words)
        complete = True
        for name in names:
            problem = self.problems.get((kind, name))
            if problem is not None:
                self.waiting.pop(client, None)
                if not any(name in others[1:] for others in self.waiting.values()):
                    del self.problems[kind, name]
                self.sweep()
                return problem
            self.places.setdefault((kind, name), {})[client.door.target] = None
            for shard in self._shards(client.door.target, kind, name):
                ear = self._ear(shard)
                ear.want(kind, name)
                complete = complete and ear.wanted[kind, name]
        if complete:
            self.waiting.pop(client, None)
        else:
            self.waiting[client] = words
        return complete

    def heard(self):
        """A server confirmed: who waited may go on."""
        for client in list(self.waiting):
            if client.is_closed:
                del self.waiting[client]
            else:
                self.exchange.resume(client)

    def refused(self, ear, kind, name, line):
        """A server does not let us hear a name: find out where, or tell why."""
        pool = ear.shard.pool
        word = line.split(b" ", 1)[0]
        redirected = getattr(pool, "redirected", None)
        if word == b"-MOVED" and redirected is not None and ear.shard.primary is not None:
            slot, _, place = line[len(word) + 1:].decode().partition(" ")
            host, _, port = place.rpartition(":")
            redirected(None, ear.shard.primary, int(slot), host or ear.shard.primary.host, int(port))
        elif word not in PASSING and any(name in words[1:] for words in self.waiting.values()):
            self.problems[kind, name] = line[1:]
            self.heard()
            return
        self.astray(SOON_S if word == b"-MOVED" else RETRY_S)

    def speaks(self, ear, kind, name, channel):
        """Whether a pattern's message is taken from this server: the nodes of a cluster all tell it."""
        if getattr(ear.shard.pool, "redirected", None) is None or (channel or b"__key").startswith(b"__key"):
            return True
        for other in self.ears.values():
            if other.shard.pool is ear.shard.pool and other.wanted.get((kind, name)) and other.is_open():
                return other is ear
        return True

    def deliver(self, kind, bytes name, bytes frame):
        """Hand a message to those who listen."""
        cdef Engine engine = self.exchange.engine
        if not engine.tick_open:
            engine.open_tick()
        tables = {b"channel": engine.channels, b"pattern": engine.patterns, b"shard": engine.shard_channels}
        fan_out(engine, tables[kind], name, frame)

    def settle(self, words):
        """A subscription began or ended: stop hearing what nobody listens to."""
        if b"un" in words[0].lower():
            self.sweep()

    def sweep(self):
        """Stop hearing what nobody listens to (a client left)."""
        cdef Engine engine = self.exchange.engine
        if not self.places:
            return
        tables = {b"channel": engine.channels, b"pattern": engine.patterns, b"shard": engine.shard_channels}
        expected = {
            (KINDS[words[0].lower()], name)
            for client, words in self.waiting.items() if not client.is_closed for name in words[1:]}
        for kind, name in list(self.places):
            if name in tables[kind] or (kind, name) in expected:
                continue
            del self.places[kind, name]
            for ear in list(self.ears.values()):
                ear.drop(kind, name)

    def follow(self, Target target):
        """The servers of a target changed: listen where the channels are now."""
        for (kind, name), targets in list(self.places.items()):
            if target in targets:
                for shard in self._shards(target, kind, name):
                    self._ear(shard).want(kind, name)
        for shard in [each for each in self.ears if each.pool is target and each not in target.shards]:
            self.ears.pop(shard).close()

    def astray(self, wait_s=SOON_S):
        """Something may be heard at the wrong place: look, in a while."""
        if self.places and not self.following:
            self.following = True
            self.exchange.loop.call_later(wait_s, self.follow_all)

    def follow_all(self):
        """Listen to every name where it belongs now."""
        self.following = False
        if not self.exchange.engine.tick_open:
            self.exchange.open_tick()
        for (kind, name), targets in list(self.places.items()):
            there = [ear for ear in self.ears.values() if (kind, name) in ear.wanted]
            if kind != b"shard" and there:
                continue
            homes = [self._ear(shard) for target in targets for shard in self._shards(target, kind, name)]
            for ear in homes:
                ear.want(kind, name)
            for ear in there:
                if ear not in homes and homes:
                    ear.drop(kind, name)
        for ear in list(self.ears.values()):
            if ear.is_open():
                ear.ask_again()

    def later(self, ear):
        """Look after a connection in a while."""
        self.exchange.loop.call_later(RETRY_S, self._look, ear)

    def _look(self, ear):
        if self.ears.get(ear.shard) is ear:
            ear.look()

    def close(self):
        """Close every connection."""
        for ear in self.ears.values():
            ear.close()
        self.ears.clear()
