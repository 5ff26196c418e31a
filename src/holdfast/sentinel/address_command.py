"""SENTINEL ADDRESS: agents of a virtual address ask for this Sentinel's vote.

    SENTINEL ADDRESS GRANT name agent lease-ms CLAIM|RENEW [late-ms] → [1|0, holder, milliseconds left]
    SENTINEL ADDRESS RELEASE name agent                              → 1 or 0
    SENTINEL ADDRESS LIST                                            → [[name, holder, milliseconds left], …]

What it is: words in, reply out. What it is not: the vote (`address_grants`).
"""

from __future__ import annotations

from typing import Protocol

from holdfast.engine.state import Session
from holdfast.engine.values import CommandError
from holdfast.sentinel.address_grants import AddressGrants

USAGE = "ERR SENTINEL ADDRESS GRANT name agent lease-ms CLAIM|RENEW [late-ms], RELEASE name agent, or LIST"


class Voter(Protocol):
    """What the command needs of its node."""

    address_grants: AddressGrants

    def now_ms(self) -> int:
        """Return milliseconds of a clock that never goes back."""
        ...


def address(session: Session, args: list[bytes]) -> object:
    """SENTINEL ADDRESS."""
    voter: Voter = session.engine.node
    now_ms = voter.now_ms()
    words = [each.decode(errors="replace") for each in args[2:]]
    match [words[0].upper(), *words[1:]]:
        case ["GRANT", name, agent, lease_ms, manner, *late] if (
            manner.upper() in ("CLAIM", "RENEW") and len(late) <= 1
        ):
            try:
                answer = voter.address_grants.ask(
                    name, agent, int(lease_ms), manner.upper() == "RENEW", now_ms, *map(int, late)
                )
            except ValueError as error:
                raise CommandError(f"ERR {error}") from None
            return [int(answer.granted), answer.holder, answer.left_ms]
        case ["RELEASE", name, agent]:
            return int(voter.address_grants.release(name, agent, now_ms))
        case ["LIST"]:
            return [list(each) for each in voter.address_grants.standing(now_ms)]
        case _:
            raise CommandError(USAGE)
