"""Whether this host holds the virtual address: a state machine under a lease.

What it is: facts and `now` in, ordered effects out. What it is not: sockets, netlink,
hooks (`holdfast.node.vip`); the lease's arithmetic (`lease`).

Rules:
- Nobody holds the address without the grants of a majority of voters, and nobody keeps it
  longer than they last: released first, or run out first, acquired after.
- The kernel gets the lease as the address's time, in grains of what it can count and rounded
  down, so that the address goes even when this process is stopped; it is renewed with the lease.
- A holder whose server is gone, or who is no longer the one to hold, takes the address away
  first and gives its votes back after.
- What is found on the interface at the start is a leftover, and is removed.

The address itself promises nothing about data: a wrong holder would reach a node that has
neither lease nor members, and takes no writes there.

How to read it: `TRANSITIONS` is the machine; `Machine.look` is the pulse; `reasons` says in
words why things are as they are.
"""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass

from holdfast.vip.lease import Lease, StockVoter

CLAIM_PERIOD_MS = 25
"""Between two rounds of questions of an agent that wants the address."""
PATIENCE_MS = 1000
"""How long votes are gathered before all are given back, lest two agents keep one each."""
QUIET_PERIOD_MS = 100
"""The same once it has asked for PATIENCE_MS: another holds it."""
RENEWALS = 5
"""Questions a lease."""
FRESH_LEASES = 1
"""A Sentinel's word on the primary counts for this many lengths of a lease."""


class State(enum.Enum):
    """Where the address stands with us."""

    STANDBY = "standby"
    CLAIMING = "claiming"
    PREPARING = "preparing"
    TAKING = "taking"
    HOLDING = "holding"
    LEAVING = "leaving"


class Event(enum.Enum):
    """What moves it."""

    WANTED = "we are the one to hold it"
    GIVEN_UP = "we are not, or got no majority"
    GRANTED = "a majority granted it"
    PREPARED = "the hook before it has run"
    ADDED = "the kernel has it"
    LOST = "the lease, the server or the reason is gone"
    REMOVED = "the kernel no longer has it"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.STANDBY, Event.WANTED): State.CLAIMING,
    (State.CLAIMING, Event.GIVEN_UP): State.STANDBY,
    (State.CLAIMING, Event.GRANTED): State.PREPARING,
    (State.PREPARING, Event.GIVEN_UP): State.STANDBY,
    (State.PREPARING, Event.PREPARED): State.TAKING,
    (State.TAKING, Event.ADDED): State.HOLDING,
    (State.TAKING, Event.LOST): State.LEAVING,
    (State.HOLDING, Event.LOST): State.LEAVING,
    (State.LEAVING, Event.REMOVED): State.STANDBY,
}


class IllegalEvent(RuntimeError):
    """An event that a state does not know. Names both."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask every voter: to claim, or to renew what we hold."""

    is_holder: bool


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Give our votes back."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Run the hook before the address is taken; tell `prepared` at its end."""


@dataclass(frozen=True, slots=True)
class AddAddress:
    """Add the address, or renew its time, for so many milliseconds; tell `added` when it was new."""

    left_ms: int
    is_new: bool


@dataclass(frozen=True, slots=True)
class RemoveAddress:
    """Take the address away; tell `removed`."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the neighbours where the address is now, again and again for a while."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Log a change, and run the hook after it where there is one (`acquired`, `released`)."""

    event: str
    text: str


Effect = Ask | GiveBack | Prepare | AddAddress | RemoveAddress | Announce | Tell


class Machine:
    """One virtual address on one host. All times are milliseconds of a clock that never goes back."""

    def __init__(
        self,
        voters: tuple[str, ...],
        lease_ms: int,
        luck: random.Random,
        *,
        follows_primary: bool,
        grain_ms: int = 1,
    ) -> None:
        """Begin in standby; `follows_primary`: hold where the primary is, else where a proxy lives.

        `grain_ms`: the kernel counts an address's time in these.
        """
        self.state = State.STANDBY
        self.lease = Lease(len(voters), lease_ms)
        self.follows_primary = follows_primary
        self.server_alive = False
        self.server_word = "not asked yet"
        self.effects: list[Effect] = []
        self._luck, self._grain_ms = luck, grain_ms
        self._voters = voters
        self._stock = {each: StockVoter(lease_ms) for each in voters}
        self._named: dict[str, tuple[bool, str, int]] = {}
        self._denials: dict[str, str] = {}
        self._asked_ms = 0
        self._claiming_since_ms = 0
        self._not_before_ms = 0
        self._rest_ms = CLAIM_PERIOD_MS
        self._lifetime_until_ms = 0

    # ---- what is heard ----

    def named_primary(self, voter: str, address: str, is_ours: bool, sent_ms: int) -> None:
        """A Sentinel said who the primary is."""
        self._named[voter] = (is_ours, address, sent_ms)

    def answered(self, voter: str, granted: bool, word: str, sent_ms: int, now_ms: int) -> None:
        """A voter answered a question that left at `sent_ms`; `word`: who has its vote."""
        if granted and self.state not in (State.STANDBY, State.LEAVING):
            self.lease.granted(voter, sent_ms)
            self._denials.pop(voter, None)
        elif not granted:
            self.lease.denied(voter)
            self._denials[voter] = word
        self.look(now_ms)

    def answered_stock(self, voter: str, is_ours: bool, sent_ms: int, now_ms: int) -> None:
        """A Sentinel without votes named a primary: that is the vote it has."""
        counts = self._stock[voter].said(is_ours, sent_ms, now_ms)
        if self.state is State.STANDBY:
            return
        word = "a stock Sentinel, whose word counts after an earlier lease may have run out"
        self.answered(voter, counts, word if is_ours else "the other side", sent_ms, now_ms)

    def unheard(self, voter: str, word: str) -> None:
        """A voter did not answer."""
        self._denials[voter] = word

    def server(self, is_alive: bool, word: str, now_ms: int) -> None:
        """The local server answers, or not; `word` says what was seen."""
        self.server_alive, self.server_word = is_alive, word
        self.look(now_ms)

    def prepared(self, now_ms: int) -> None:
        """The hook before the address is taken has run."""
        if self.state is not State.PREPARING:
            return
        left_ms = self.lease.ends_ms() - now_ms
        if left_ms < self._grain_ms or not self.is_wanted(now_ms):
            ran_out = left_ms < self._grain_ms
            self._give_up("the lease ran out meanwhile" if ran_out else self.reasons(now_ms)[0])
            return
        self._go(Event.PREPARED)
        self._lifetime(left_ms, is_new=True)

    def refused(self, why: str, now_ms: int) -> None:
        """The hook before the address is taken has failed: the votes go back, another host may try."""
        if self.state is State.PREPARING:
            self._not_before_ms = now_ms + PATIENCE_MS
            self._give_up(why)

    def added(self, now_ms: int) -> None:
        """The kernel has the address."""
        if self.state is not State.TAKING:
            return
        if self.lease.ends_ms() <= now_ms:
            self._leave("the lease ran out meanwhile")
            return
        self._go(Event.ADDED)
        self.effects.append(Announce())
        self._tell("acquired", f"granted by {', '.join(self.lease.voters(now_ms))}")

    def add_failed(self, why: str) -> None:
        """The kernel refused the address: what is there of it goes, and another may try."""
        if self.state in (State.TAKING, State.HOLDING):
            self._rest_ms = PATIENCE_MS
            self._leave(f"the address cannot be had: {why}")

    def removed(self, now_ms: int) -> None:
        """The kernel no longer has the address."""
        if self.state is not State.LEAVING:
            return
        self._go(Event.REMOVED)
        self.lease.clear()
        self._not_before_ms = now_ms + self._rest_ms
        self._rest_ms = CLAIM_PERIOD_MS
        self.effects.append(GiveBack())
        self._tell("released", "the address is gone from this host")

    def stop(self) -> None:
        """Let go: the agent ends."""
        if self.state in (State.TAKING, State.HOLDING):
            self._leave("the agent stops")
        elif self.state in (State.CLAIMING, State.PREPARING):
            self._give_up("the agent stops")
        self.server_alive, self.server_word = False, "the agent stops"

    # ---- the pulse ----

    def look(self, now_ms: int) -> None:
        """See what is due."""
        wanted, left_ms = self.is_wanted(now_ms), self.lease.ends_ms() - now_ms
        match self.state:
            case State.STANDBY if wanted and now_ms >= self._not_before_ms:
                self._go(Event.WANTED)
                self._claiming_since_ms = now_ms
                self._tell("claiming", self.reasons(now_ms)[0])
                self._ask(now_ms)
            case State.CLAIMING:
                self._look_at_claim(wanted, left_ms, now_ms)
            case State.PREPARING if not wanted:
                self._give_up(self.reasons(now_ms)[0])
            case State.TAKING | State.HOLDING if not wanted or left_ms <= 0:
                self._leave(self.reasons(now_ms)[0] if not wanted else "no majority renewed the lease")
            case State.HOLDING | State.TAKING | State.PREPARING:
                if now_ms - self._asked_ms >= self.lease.length_ms // RENEWALS:
                    self._ask(now_ms)
                if self.state is State.HOLDING and self.lease.ends_ms() > self._lifetime_until_ms:
                    self._lifetime(left_ms, is_new=False)

    def _look_at_claim(self, wanted: bool, left_ms: int, now_ms: int) -> None:
        waited_ms = now_ms - self._claiming_since_ms
        if not wanted:
            self._give_up(self.reasons(now_ms)[0])
        elif left_ms > self.lease.length_ms // 2:
            self._go(Event.GRANTED)
            self.effects.append(Prepare())
        elif waited_ms > PATIENCE_MS and self.lease.voters(now_ms):
            self._give_up("no majority, so the votes go back")
            self._not_before_ms = now_ms + self._luck.randrange(CLAIM_PERIOD_MS, PATIENCE_MS)
        elif now_ms - self._asked_ms >= (QUIET_PERIOD_MS if waited_ms > PATIENCE_MS else CLAIM_PERIOD_MS):
            self._ask(now_ms)

    def is_wanted(self, now_ms: int) -> bool:
        """Tell whether this host is the one to hold the address."""
        return self.server_alive and (not self.follows_primary or self._naming(now_ms) >= self.lease.needed)

    def _naming(self, now_ms: int) -> int:
        """Return how many Sentinels named our server as primary of late."""
        oldest_ms = now_ms - FRESH_LEASES * self.lease.length_ms
        return sum(1 for is_ours, _, sent_ms in self._named.values() if is_ours and sent_ms >= oldest_ms)

    # ---- steps ----

    def _ask(self, now_ms: int) -> None:
        self._asked_ms = now_ms
        self.effects.append(Ask(self.state is State.HOLDING))

    def _lifetime(self, left_ms: int, *, is_new: bool) -> None:
        self._lifetime_until_ms = self.lease.ends_ms()
        if left_ms >= self._grain_ms:
            self.effects.append(AddAddress(left_ms // self._grain_ms * self._grain_ms, is_new))

    def _give_up(self, why: str) -> None:
        self._go(Event.GIVEN_UP)
        self.lease.clear()
        self.effects.append(GiveBack())
        self._tell("gave-up", why)

    def _leave(self, why: str) -> None:
        self._go(Event.LOST)
        self.effects.append(RemoveAddress())
        self._tell("leaving", why)

    def _go(self, event: Event) -> None:
        following = TRANSITIONS.get((self.state, event))
        if following is None:
            raise IllegalEvent(f"{event.name} in {self.state.name}")
        self.state = following

    def _tell(self, event: str, text: str) -> None:
        self.effects.append(Tell(event, text))

    # ---- in words ----

    def reasons(self, now_ms: int) -> list[str]:
        """Return why the state is what it is, the weightiest first."""
        if not self.server_alive:
            return [f"the local server does not serve: {self.server_word}"]
        told: list[str] = []
        if self.follows_primary:
            count = self._naming(now_ms)
            verb = "is" if count >= self.lease.needed else "is not"
            told.append(
                f"the local server {verb} the primary: {count} of {len(self._voters)} Sentinels say so, "
                f"{self.lease.needed} needed"
            )
            told += [
                f"{voter} names {address}" + ("" if now_ms - sent_ms < self.lease.length_ms else " (stale)")
                for voter, (_, address, sent_ms) in sorted(self._named.items())
            ]
        else:
            told.append("the local proxy serves")
        granting = self.lease.voters(now_ms)
        if granting:
            left_ms = max(0, self.lease.ends_ms() - now_ms)
            told.append(f"granted by {', '.join(granting)}; {left_ms} ms left")
        told += [f"{voter}: {word}" for voter, word in sorted(self._denials.items()) if voter not in granting]
        return told
