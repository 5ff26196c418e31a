"""Whoever is to lead and lacks something fetches it first: the order, and how far it has come.

What it is: FETCH is sent to one node of ours, which is then asked how far it is, again as soon as it has
answered: writes wait for it. What it is not: who fetches what from whom (`Orders.choose`), or what follows
(`takeover` fences the node anew, and chooses by its report).

An order that was lost, a link that broke, a source that is gone: whoever comes no further for a second is
told again, as often as it takes. Until then it is not fenced anew: that would end the fetch.

How to read it: `begin`, `goes_on`.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.sentinel.info_reply import parse_info
from holdfast.sentinel.model import Instance, Primary, Sentinel
from holdfast.sentinel.reply_reader import Reply, ReplyError
from holdfast.sentinel.settings import PROMPT_ASK_MS

PATIENCE_MS = 1000
"""Whoever has come no further for so long is told again."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Let `node_id` fetch the tail from `source` first; then everybody is asked again."""

    node_id: str
    source: str
    order: tuple[str, ...]
    """With the words HOST and PORT in the place of the source's address."""


@dataclass(slots=True)
class Fetching:
    """A fetch that was ordered, as far as we have heard of it."""

    order: Fetch
    news_ms: int
    """When it was ordered, or last seen to come further."""
    offset: int | None = None
    is_copying: bool = False
    """The node receives all, not just a tail."""
    has_ended: bool = False
    is_intact: bool = False
    """What the node said of itself when it had ended."""
    asked_ms: int = 0
    is_asked: bool = False
    """An answer is awaited."""


def begin(sentinel: Sentinel, order: Fetch, node: Instance, source: Instance, now_ms: int) -> Fetching:
    """Send the order."""

    def answered(reply: Reply, at_ms: int) -> None:
        if isinstance(reply, ReplyError):
            sentinel.log(f"{node.name} refused to fetch from {source.name}: {reply}", "warning")

    address = source.address
    places = {"HOST": sentinel.shown(address), "PORT": str(address.port)}
    sentinel.send(node, *(places.get(word, word) for word in order.order), on_reply=answered)
    fetching = Fetching(order, now_ms)
    _ask_how_far(sentinel, node, fetching, now_ms)
    return fetching


def goes_on(sentinel: Sentinel, node: Instance, fetching: Fetching, now_ms: int) -> bool:
    """Tell whether a node still fetches and comes further; ask it when an answer has come."""
    if fetching.has_ended or now_ms - fetching.news_ms > PATIENCE_MS:
        return False
    pause_ms = PROMPT_ASK_MS if fetching.is_copying else 0
    if not fetching.is_asked and now_ms - fetching.asked_ms >= pause_ms:
        _ask_how_far(sentinel, node, fetching, now_ms)
    return True


def _ask_how_far(sentinel: Sentinel, node: Instance, fetching: Fetching, now_ms: int) -> None:
    def told(reply: Reply, at_ms: int) -> None:
        fetching.is_asked = False
        if isinstance(reply, str) and not isinstance(reply, ReplyError):
            info = parse_info(reply)
            if info.is_copying or info.offset != fetching.offset:
                fetching.news_ms, fetching.offset = at_ms, info.offset
            fetching.is_copying, fetching.is_intact = info.is_copying, info.is_intact
            fetching.has_ended = not info.is_fetching

    fetching.is_asked, fetching.asked_ms = True, now_ms
    sentinel.send(node, "INFO", "replication", on_reply=told)


def is_copying(primary: Primary) -> bool:
    """Tell whether a node receives a whole copy, by order of a leader of our last vote or a later one.

    Another leader's fence would end that, and the copy begin anew.
    """
    return any(
        each.is_copying and each.standing == "fenced" and each.fence_epoch >= primary.leader_epoch
        for each in (primary, *primary.replicas.values())
        if each.link.is_up and not each.is_stranger
    )
