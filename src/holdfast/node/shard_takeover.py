"""Before a replica that was elected claims its slots: the shard is fenced, and nothing is left behind.

What it is: rules 6 to 9 of the acknowledgement promise, led by the elected replica itself,
in the epoch that the primaries voted for. It takes its own fence, fences the other nodes
of the shard over their client ports, the old primary too, fetches the tail of the best
copy, and is promoted. What it is not: the choice (`replication.promotion`), or the claim
of the slots, which comes after (`cluster.election`).

Where this node cannot lead, as its own copy is not intact or the tail of the best cannot be fetched any
more, and the best is the shard's primary as it was, that one is told to lead again, by rule 8, and the
others to follow it.

It applies where a member set binds this copy (`min-replicas-to-ack`). Stock nodes know no
fence: their refusal is as good as silence.

How to read it: `ShardTakeover.run`; it answers whether this node leads now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.replication.fence import FenceOrder, FenceReport, FetchOrder, FollowOrder, PromoteOrder
from holdfast.replication.orders import OrderError, order_words, read_report
from holdfast.replication.promotion import FetchFirst, Promote, Wait, choose_promotion
from holdfast.replication.standing import OrderRefused
from holdfast.sentinel.reply_reader import BrokenReply, Reply, ReplyError, ReplyReader, encode_command

if TYPE_CHECKING:
    from holdfast.node.server import ServerNode

REPORTS_WAIT_S = 0.15
"""How long all nodes of the shard are waited for, even where fewer would do."""
PATIENCE_S = 1.5
FETCH_LOOK_S = 0.005
FETCH_S = 0.5
"""How long a tail is waited for; who has it no more hangs up at once."""


@dataclass(frozen=True, slots=True)
class Member:
    """A node of the shard: its cluster id, and where its clients come in."""

    node_id: str
    host: str
    port: int


class ShardTakeover:
    """One attempt, in one epoch."""

    def __init__(
        self, node: ServerNode, epoch: int, leader: str, members: Sequence[Member], primary_id: str = ""
    ) -> None:
        """Prepare; `primary_id` is who leads the shard as the cluster has it."""
        self._node, self._primary_id = node, primary_id
        self._epoch, self._leader = epoch, leader
        self._members = members
        self._reports: dict[str, tuple[Member, FenceReport]] = {}
        """By the node id of replication."""
        self._silent = {each.node_id for each in members}

    async def run(self) -> bool:
        """Fence, fetch, promote; return whether this node leads now."""
        node = self._node
        asking = [node.loop.create_task(self._ask(each)) for each in self._members]
        try:
            own = self._fence_self()
            if asking:
                await asyncio.wait(asking, timeout=REPORTS_WAIT_S)
            until = node.loop.time() + PATIENCE_S
            while node.loop.time() < until:
                choice = self._choose(own)
                match choice:
                    case Promote():
                        self._lead(choice)
                        return True
                    case FetchFirst():
                        if not own.intact and await self._let_primary_lead(own):
                            return False
                        if not await self._fetch(choice) and await self._let_primary_lead(own):
                            return False
                        own = self._fence_self()
                    case Wait():
                        if await self._let_primary_lead(own):
                            return False
                        waiting = [each for each in asking if not each.done()]
                        if not waiting:
                            node.log.warning(f"Nobody may lead this shard yet: {choice.reason}")
                            return False
                        await asyncio.wait(
                            waiting, timeout=until - node.loop.time(), return_when=asyncio.FIRST_COMPLETED
                        )
        except (OrderRefused, OSError) as error:
            node.log.warning(f"The shard could not be taken over in epoch {self._epoch}: {error}")
        finally:
            for each in asking:
                each.cancel()
        return False

    def _fence_self(self) -> FenceReport:
        self._open_tick()
        return self._node.replication.in_cluster.fence(FenceOrder(self._epoch, self._leader))

    def _choose(self, own: FenceReport, or_else: str = "") -> Promote | FetchFirst | Wait:
        """Choose ourselves, if the rules let us lead; `or_else` names another who may lead, too."""
        reports = [own, *(report for _, report in self._reports.values())]
        known = {each.node_id for each in reports} | self._silent
        return choose_promotion(
            self._epoch,
            self._leader,
            reports,
            known,
            preference=(own.node_id,),
            may_lead={own.node_id, or_else} - {""},
        )

    def _lead(self, choice: Promote) -> None:
        if choice.may_lose_writes:
            self._node.log.warning(f"Taking over in epoch {self._epoch}: {choice.reason}")
        self._open_tick()
        self._node.replication.in_cluster.promote(
            PromoteOrder(self._epoch, self._leader, choice.position, choice.may_lose_writes)
        )

    async def _fetch(self, choice: FetchFirst) -> bool:
        """Fetch what the best copy has more than ours; return whether we have it."""
        node, member = self._node, self._reports[choice.source][0]
        self._open_tick()
        node.replication.in_cluster.fetch(
            FetchOrder(
                self._epoch,
                self._leader,
                member.host,
                member.port,
                choice.source,
                choice.position,
                choice.may_lose_writes,
            )
        )
        until = node.loop.time() + FETCH_S
        while node.loop.time() < until and not self._has_fetched(choice):
            await asyncio.sleep(FETCH_LOOK_S)  # the stream comes in by itself
        return self._has_fetched(choice)

    def _has_fetched(self, choice: FetchFirst) -> bool:
        standing = self._node.replication.standing
        is_whole = choice.may_lose_writes or standing.node.state.intact
        return standing.position >= choice.position and is_whole

    async def _let_primary_lead(self, own: FenceReport) -> bool:
        """Let the primary lead again, if its copy is the best, and others follow; return whether it does.

        Raises OSError where it does not answer: perhaps it leads, so nobody else may in this epoch.
        """
        found = (name for name, (each, _) in self._reports.items() if each.node_id == self._primary_id)
        chosen = next(found, "")
        choice = self._choose(own, chosen)
        if not chosen or not isinstance(choice, Promote) or choice.node_id != chosen:
            return False
        best = self._reports[chosen][0]
        promote = PromoteOrder(self._epoch, self._leader, choice.position, choice.may_lose_writes)
        if isinstance(reply := await self._order(best, promote), ReplyError):  # it was refused
            self._node.log.warning(f"Node {best.node_id} does not lead: {reply}")
            return False
        self._node.log.notice(f"{best.node_id} leads again in epoch {self._epoch}: its copy is the best")
        follow = FollowOrder(self._epoch, self._leader, best.host, best.port, chosen)
        others = [member for member, _ in self._reports.values() if member is not best]
        await asyncio.gather(*(self._order(each, follow) for each in others), return_exceptions=True)
        self._open_tick()
        self._node.replication.in_cluster.obey(follow)
        return True

    async def _order(self, member: Member, order: PromoteOrder | FollowOrder) -> Reply:
        """Give an order; a returned error says why it was not taken. Raises OSError: that is not known."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._last_reply(member, [*self._credentials(), order_words(order)])
        except (OSError, EOFError, BrokenReply) as error:
            why = str(error) or "no answer"
            raise OSError(f"{member.node_id} was told {order_words(order)[1]}: {why}") from error

    def _open_tick(self) -> None:
        if not self._node.engine.tick_open:
            self._node.open_tick()

    # ---- the others ----

    async def _ask(self, member: Member) -> None:
        """Fence another node, and keep its report."""
        try:
            fence = order_words(FenceOrder(self._epoch, self._leader))
            reply = await self._last_reply(member, [*self._credentials(), fence])
            if not isinstance(reply, list) or not all(isinstance(word, str) for word in reply):
                refusal = reply if isinstance(reply, ReplyError) else "no report"
                self._node.log.notice(f"Node {member.node_id} takes no fence: {refusal}")
                return
            report = read_report([str(word) for word in reply])
        except (OSError, BrokenReply, OrderError, UnicodeError, EOFError) as error:
            self._node.log.notice(f"Node {member.node_id} cannot be fenced: {error}")
            return
        self._silent.discard(member.node_id)
        self._reports[report.node_id] = (member, report)

    def _credentials(self) -> list[tuple[str, ...]]:
        configuration = self._node.configuration
        user, password = configuration["masteruser"], configuration["masterauth"]
        if not password:
            return []
        return [("AUTH", user, password) if user else ("AUTH", password)]

    async def _last_reply(self, member: Member, commands: Sequence[tuple[str, ...]]) -> Reply:
        connection = _Asking(self._node.loop, len(commands))
        transport, _ = await self._node.loop.create_connection(lambda: connection, member.host, member.port)
        try:
            transport.write(b"".join(map(encode_command, commands)))
            return await connection.answer
        finally:
            transport.abort()


class _Asking(asyncio.Protocol):
    """A connection that waits for the last of so many replies."""

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int) -> None:
        self.answer: asyncio.Future[Reply] = loop.create_future()
        self._reader = ReplyReader()
        self._count = count

    def data_received(self, data: bytes) -> None:
        """Count replies."""
        try:
            for reply in self._reader.feed(data):
                self._count -= 1
                if not self._count and not self.answer.done():
                    self.answer.set_result(reply)
        except BrokenReply as error:
            if not self.answer.done():
                self.answer.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side is gone."""
        if not self.answer.done():
            self.answer.set_exception(ConnectionResetError("the connection was lost"))
