"""The Sentinels of a pool: asked, and listened to.

What it is: two connections to each Sentinel. One is subscribed to all its events; an
event is a reason to ask, whatever it says, for a Sentinel answers with the new address
before it announces it. On the other the questions go, at once after an event, every
`POLL_S` else. What it is not: the choice among the answers (`sentinel_view`).

How to read it: `Ears` is all of them, `Ear` is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from holdfast.proxy import link as links
from holdfast.proxy.reply_words import Reply, ReplyError, pairs_of, value_of
from holdfast.proxy.sentinel_view import Address, ReplicaWord, group_of_event, replica_of
from holdfast.proxy.shapes import Backend, Exchange, Link, Pool

POLL_S = 1.0
QUICK_S = 0.02
"""Between two questions while a primary is looked for."""
TURN_S = 0.5
"""Between two looks at the subscription."""
SILENT_S = 3.0
"""After so long without a word a subscription is made anew."""
ANSWER_MS = 1000
"""How long an answer may take."""


class Ears:
    """All Sentinels of one pool."""

    def __init__(
        self,
        exchange: Exchange,
        name: str,
        sentinels: Sequence[Address],
        password: bytes | None,
        groups: Sequence[str],
    ) -> None:
        self.exchange = exchange
        self.groups = list(groups)
        self.wants_replicas = False
        self.urgent = False
        """Whether a primary is looked for: then all are asked every QUICK_S."""
        self.on_primary: Callable[[str, str, Address, int], None] = lambda *told: None
        """(group, Sentinel, address, epoch): what a Sentinel says."""
        self.on_replicas: Callable[[str, str, list[ReplicaWord]], None] = lambda *told: None
        self.on_unknown: Callable[[str, str], None] = lambda *told: None
        """(group, Sentinel): it does not watch that group."""
        self.on_silence: Callable[[str], None] = lambda *told: None
        """(Sentinel): it cannot be reached."""
        self.on_event: Callable[[str, str], None] = lambda *told: None
        """(group, event): what happens."""
        self.closed = False
        self._pool = Pool(exchange, f"{name}/sentinels")
        self._pool.password = password
        self._pool.timeout_ms = ANSWER_MS
        self.all = [Ear(self, Backend(self._pool, f"{host}:{port}", host, port)) for host, port in sentinels]

    def start(self) -> None:
        """Connect to all."""
        for each in self.all:
            each.turn()
            each.ask()

    def hurry(self) -> None:
        """A primary is looked for: ask all, and go on asking until `rest`."""
        if not self.urgent:
            self.urgent = True
            self._again()

    def rest(self) -> None:
        """Every primary is known."""
        self.urgent = False

    def _again(self) -> None:
        if self.urgent and not self.closed:
            for each in self.all:
                each.ask()
            self.exchange.loop.call_later(QUICK_S, self._again)

    def close(self) -> None:
        """Close every connection."""
        self.closed = True
        for each in self.all:
            each.close()


class Ear:
    """One Sentinel."""

    def __init__(self, ears: Ears, backend: Backend) -> None:
        self.ears, self.backend = ears, backend
        self.name = backend.name
        self._subscription: Link | None = None
        self._heard_at = 0.0
        self._asked_at = 0.0
        self._open = 0
        """Answers that are awaited."""
        self._again = False
        self.complaint = ""

    def turn(self) -> None:
        """Look after the subscription, and ask when it is time."""
        if self.ears.closed:
            return
        now = self.ears.exchange.loop.time()
        link = self._subscription
        if link is None or link.closed or now - self._heard_at > SILENT_S:
            self._subscribe(now)
        else:
            links.send_words(link, [b"PING"])
        if now - self._asked_at >= POLL_S:
            self.ask()
        self.ears.exchange.loop.call_later(TURN_S, self.turn)

    def _subscribe(self, now: float) -> None:
        if self._subscription is not None and not self._subscription.closed:
            links.close(self._subscription)
        self._heard_at = now
        self._subscription = links.open_private(self.backend, 0, 2)
        self._subscription.push_sink = self._event
        links.send_words(self._subscription, [b"PSUBSCRIBE", b"*"])

    def _event(self, frame: bytes) -> None:
        self._heard_at = self.ears.exchange.loop.time()
        if frame.startswith(b"-"):
            self._complain(frame[1:].decode("utf-8", "replace").strip())
        elif frame.startswith(b"*4"):
            self.ask()
            match value_of(frame):
                case [_, _, bytes() as event, bytes() as told]:
                    group = group_of_event(told.decode("utf-8", "replace"))
                    if group in self.ears.groups:
                        self.ears.on_event(group, event.decode("utf-8", "replace"))

    # ---- questions ----

    def ask(self) -> None:
        """Ask about every group, unless answers are still awaited: then once more after them."""
        if self.ears.closed:
            return
        if self._open:
            self._again = True
            return
        exchange = self.ears.exchange
        self._asked_at = exchange.loop.time()
        if not exchange.engine.tick_open:
            exchange.open_tick()
        for group in self.ears.groups:
            _Question(self, group)

    def opened(self) -> None:
        """A question was sent."""
        self._open += 1

    def answered(self) -> None:
        """A question was answered, or will never be."""
        self._open -= 1
        if self._open == 0 and self._again:
            self._again = False
            self.ask()

    def lost(self) -> None:
        """The connection is gone: nothing that this Sentinel said is of now."""
        self.ears.on_silence(self.name)

    def _complain(self, text: str) -> None:
        if text != self.complaint:
            self.complaint = text
            self.ears.exchange.node.log.warning(f"Sentinel {self.name}: {text}")

    def refused(self, group: str, text: str) -> None:
        """It answers with an error: it does not watch the group, or does not let us in."""
        self._complain(text)
        self.ears.on_unknown(group, self.name)

    def close(self) -> None:
        """Close both connections."""
        if self._subscription is not None:
            links.close(self._subscription)
        self.backend.disconnect()


class _Question:
    """What is asked about one group: its primary and the epoch, in this order; its replicas where wanted."""

    def __init__(self, ear: Ear, group: str) -> None:
        self.ear, self.group = ear, group
        self.address: Address | None = None
        name = group.encode()
        ear.opened()
        links.ask(ear.backend, [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", name], self._take_address)
        links.ask(ear.backend, [b"SENTINEL", b"MASTER", name], self._take_master)
        if ear.ears.wants_replicas:
            ear.opened()
            links.ask(ear.backend, [b"SENTINEL", b"REPLICAS", name], self._take_replicas)

    def _value(self, frame: bytes | None) -> Reply:
        if frame is None:
            self.ear.lost()
            return None
        try:
            return value_of(frame)
        except (ReplyError, ValueError) as error:
            self.ear.refused(self.group, str(error))
            return None

    def _take_address(self, frame: bytes | None) -> None:
        match self._value(frame):
            case [bytes() as host, bytes() as port]:
                self.address = host.decode(), int(port)

    def _take_master(self, frame: bytes | None) -> None:
        value = self._value(frame)
        if isinstance(value, list) and self.address is not None:
            epoch = int(pairs_of(value).get("config-epoch", 0))
            self.ear.ears.on_primary(self.group, self.ear.name, self.address, epoch)
        self.ear.answered()

    def _take_replicas(self, frame: bytes | None) -> None:
        value = self._value(frame)
        if isinstance(value, list):
            self.ear.ears.on_replicas(
                self.group, self.ear.name, [replica_of(pairs_of(each)) for each in value]
            )
        self.ear.answered()
