"""A window of slots given as a whole, where both ends are Holdfast: CLUSTER GIVE.

The source sends all keys to the target while it serves them, then what changed, then the claim; no
slot is open meanwhile, and a crash leaves nothing half done (`src/holdfast/node/slot_giver.py`).
What cannot go so (a stock node, a slot that is open already or too big) goes key by key.

How to read it: `given` is all there is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from holdfast.cluster.jobs.remote import Refusal, Refused
from holdfast.cluster.jobs.window import NotNow, Pair

KEYS_MOST = 20_000
"""A source does not give more at once."""
GIVE_S = 60.0
"""A source whose target died asks others whether it took the slots before."""
FAILURES_MOST = 3


async def given(pair: Pair, slots: Sequence[int]) -> float:
    """Give slots as a whole; return how long it took (ms), 0: they have to go key by key.

    Raises NodeLost, Refused, NotNow.
    """
    if not pair.as_a_whole or pair.whole_failures >= FAILURES_MOST:
        return 0.0
    ends = await asyncio.gather(pair.contact.gives_whole(pair.source), pair.contact.gives_whole(pair.target))
    if not all(ends):
        return 0.0
    loop = asyncio.get_running_loop()
    source = await pair.contact.line(pair.source)
    counts = await source.ask_all([["CLUSTER", "COUNTKEYSINSLOT", slot] for slot in slots])
    held = sum(count for count in counts if isinstance(count, int))
    if held > KEYS_MOST:
        return 0.0
    await asyncio.sleep(pair.allowance.spend(held, loop.time()))
    began = loop.time()
    (reply,) = await source.ask_all([["CLUSTER", "GIVE", pair.target, *slots]], GIVE_S)
    if isinstance(reply, Refusal):
        pair.allowance.give_back(held, loop.time())
        if reply.code != "IOERR" or "TOOBIG" in reply or "has keys" in reply or "already" in reply:
            return 0.0
        pair.whole_failures += 1
        raise NotNow(f"{source.address}: CLUSTER GIVE: {reply}")
    if not isinstance(reply, int):
        raise Refused(source.address, "CLUSTER GIVE", repr(reply))
    pair.tally.keys += reply
    pair.tally.slots += len(slots)
    pair.tally.trouble = ""
    pair.whole_failures = 0
    return (loop.time() - began) * 1000
