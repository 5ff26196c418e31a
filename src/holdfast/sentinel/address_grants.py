"""Who may hold a virtual address: a Sentinel's vote, given to one agent at a time.

What it is: one voter of the lease that `holdfast.vip.lease` counts. Agents ask every
Sentinel; who has a majority of them holds the address. What it is not: the question who
the primary is; an agent asks that too, but it is no part of the vote.

Rules:
- A grant stands from the moment it is given for `kept_ms` of its length: a tenth more for
  clocks that run apart, and what the agent's kernel may be late in taking an address away.
- While it stands nobody else gets one; its holder may renew it, or give it back.
- Grants live in memory. A Sentinel that has just started may have forgotten one, so it
  grants nothing for as long as the longest stands, except to who holds the address by the
  votes of the others: there is never more than one of those.

How to read it: `ask`, then `release`.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.server.address_lease import KERNEL_LATE_MS, LEASE_MS_MAX, LEASE_MS_MIN, kept_ms


@dataclass(frozen=True, slots=True)
class Answer:
    """What a Sentinel says to an agent."""

    granted: bool
    holder: str
    """Who has the vote now; empty: nobody, or not known."""
    left_ms: int
    """How long that stands."""


@dataclass(slots=True)
class _Grant:
    holder: str
    ends_ms: int


class AddressGrants:
    """The votes of one Sentinel, one an address. Times are milliseconds of a clock that never goes back."""

    def __init__(self, now_ms: int) -> None:
        self._quiet_until_ms = now_ms + kept_ms(LEASE_MS_MAX)
        self._grants: dict[str, _Grant] = {}

    def ask(
        self,
        name: str,
        agent: str,
        lease_ms: int,
        is_holder: bool,
        now_ms: int,
        late_ms: int = KERNEL_LATE_MS,
    ) -> Answer:
        """Answer an agent that asks for an address, or that renews its vote (`is_holder`).

        Raises ValueError for a length outside LEASE_MS_MIN … LEASE_MS_MAX, or a kernel later than
        KERNEL_LATE_MS.
        """
        if not 0 <= late_ms <= KERNEL_LATE_MS:
            raise ValueError(f"a kernel is 0 to {KERNEL_LATE_MS} milliseconds late")
        if not LEASE_MS_MIN <= lease_ms <= LEASE_MS_MAX:
            raise ValueError(f"a lease lasts {LEASE_MS_MIN} to {LEASE_MS_MAX} milliseconds")
        grant = self._standing(name, now_ms)
        if grant is not None and grant.holder != agent:
            return Answer(False, grant.holder, grant.ends_ms - now_ms)
        if grant is None and not is_holder and now_ms < self._quiet_until_ms:
            return Answer(False, "", self._quiet_until_ms - now_ms)
        ends_ms = max(now_ms + kept_ms(lease_ms, late_ms), grant.ends_ms if grant is not None else 0)
        self._grants[name] = _Grant(agent, ends_ms)
        return Answer(True, agent, ends_ms - now_ms)

    def release(self, name: str, agent: str, now_ms: int) -> bool:
        """Take back a vote that its holder no longer needs; tell whether it had it."""
        grant = self._standing(name, now_ms)
        if grant is None or grant.holder != agent:
            return False
        del self._grants[name]
        return True

    def standing(self, now_ms: int) -> list[tuple[str, str, int]]:
        """Return address name, holder and milliseconds left of every vote that stands, by name."""
        names = [name for name in sorted(self._grants) if self._standing(name, now_ms)]
        return [(each, self._grants[each].holder, self._grants[each].ends_ms - now_ms) for each in names]

    def _standing(self, name: str, now_ms: int) -> _Grant | None:
        grant = self._grants.get(name)
        if grant is not None and now_ms >= grant.ends_ms:
            del self._grants[name]
            return None
        return grant
