"""Whether this copy may give way to a full resync: the facts for `full_resync_refusal`.

What it is: how many keys are at stake here, how many a primary that is no node of ours
holds, and the rule asked with both. What it is not: the rule (`empty_primary`), or what
the link does about it (`upstream`).
"""

from __future__ import annotations

import asyncio

from holdfast.replication.empty_primary import Cause, PrimaryClaim, full_resync_refusal
from holdfast.replication.keys_of_primary import count_keys
from holdfast.replication.overseer import Overseer, Target
from holdfast.replication.ports import Node
from holdfast.replication.stream import Stream


class ResyncJudge:
    """Asks the rule that keeps a copy from a primary which has lost its history."""

    def __init__(self, node: Node, stream: Stream, overseer: Overseer) -> None:
        """Judge for this node."""
        self._node, self._stream, self._overseer = node, stream, overseer

    def keys_at_stake(self, cause: Cause) -> int:
        """Return how many keys the rule protects; 0: it does not apply."""
        if not self._node.configuration["replica-refuse-empty-primary"] or cause is not Cause.RECONNECT:
            return 0
        engine = self._node.engine
        return sum(engine.key_count(each) for each in range(engine.database_count))

    async def keys_there(self, target: Target) -> int:
        """Ask the primary how many keys it holds. OSError, TimeoutError, ValueError."""
        configuration = self._node.configuration
        asked = count_keys(target.host, target.port, configuration["masteruser"], configuration["masterauth"])
        return await asyncio.wait_for(asked, configuration["repl-timeout"])

    def refusal(self, cause: Cause, keys: int, claim: PrimaryClaim) -> str:
        """Return why the copy does not give way; "": it may."""
        history = self._stream.history
        own_ids = frozenset((history.replication_id, history.second_id))
        return full_resync_refusal(True, cause, self._overseer.own_position(), keys, own_ids, claim) or ""
