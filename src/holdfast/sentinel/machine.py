"""What happens when time passes, a connection comes or goes, or a message arrives.

What it is: the order of events of one Sentinel. Every input is a method with the time
handed in; what is to be done is collected in `Sentinel.effects`. What it is not: the
single decisions, see the modules that it calls; no socket, clock or file.

How to read it: `look` is one look at everything, called at every beat and after every
input that may matter before the next (`may_rest`); it may be called as often as one
likes. Then the inputs.

TILT: when looks are further apart than they can be, the process or its clock has been
stopped, and what is known is old: nothing is decided, only watched, until all that is
watched has answered anew or had a whole down-after to do so, and for 30 s at the longest.
(Redis always waits the 30 s; with one Sentinel in TILT and another lost there is no quorum.)
"""

from __future__ import annotations

from holdfast.sentinel import asking, down, failover, granting, observation, resting
from holdfast.sentinel.down import Suspicion
from holdfast.sentinel.effects import Send
from holdfast.sentinel.hello import ASK_ME, parse_hello
from holdfast.sentinel.model import Instance, Link, LinkState, Primary, Role, Sentinel


class Machine:
    """One Sentinel in motion."""

    def __init__(self, sentinel: Sentinel) -> None:
        self.sentinel = sentinel
        self._has_news = False
        """INFO came since the last look."""
        self._calm_stirs = -1
        """What `Sentinel.stirs` was when the last look found everything calm."""
        sentinel.on_info = self._info_came

    # ---- inputs ----

    def look(self, now_ms: int) -> None:
        """Look at everything once."""
        sentinel = self.sentinel
        self._has_news, is_calm = False, True
        self._check_tilt(now_ms)
        for primary in list(sentinel.primaries.values()):
            if sentinel.tilt_since_ms is not None or not resting.may_rest(primary, now_ms):
                is_calm = False
                sentinel.stir()
                self._group(primary, now_ms)
                sentinel.stir()
            elif resting.rests(sentinel, primary, now_ms):
                self._resting_group(primary, now_ms)
            else:
                self._group(primary, now_ms)
        self._calm_stirs = sentinel.stirs if is_calm else -1

    def may_rest(self, now_ms: int) -> bool:
        """Tell whether what was just heard can wait for the next beat.

        So it is while all is well: most replies say that nothing has changed.
        """
        sentinel = self.sentinel
        if self._has_news or sentinel.effects or sentinel.tilt_since_ms is not None:
            return False
        if self._calm_stirs == sentinel.stirs:
            return True
        return all(resting.is_calm(primary, now_ms) for primary in sentinel.primaries.values())

    def connected(self, link: Link, pubsub: bool, local_ip: str, peer_ip: str, now_ms: int) -> None:
        """A connection is there."""
        sentinel = self.sentinel
        sentinel.stir()
        owners = self._owners(link)
        if not owners:
            return
        link.address.ip = peer_ip or link.address.ip
        if pubsub:
            link.pubsub, link.pubsub_connected_ms, link.pubsub_heard_ms = LinkState.UP, now_ms, now_ms
        else:
            link.command, link.connected_ms, link.pending_commands = LinkState.UP, now_ms, 0
            link.grants_stand = False
            link.local_ip, link.was_up, link.refused_since_ms = local_ip, True, None
        for words in asking.greeting(sentinel, owners[0], pubsub):
            if not pubsub:
                link.pending_commands += 1
            sentinel.do(Send(link, words, None, pubsub))
        if pubsub:
            return
        asking.ping(sentinel, owners[0], now_ms)
        for each in owners:
            if each.role is not Role.SENTINEL:
                asking.ask_info(sentinel, each, now_ms)
            else:
                asking.ask_kind(sentinel, each)
            each.lease_token, each.granted_ms = 0, -(10**9)
            each.published_ms = min(each.published_ms, now_ms - sentinel.times.publish_period)

    def lost(self, link: Link, pubsub: bool, refused: bool, now_ms: int) -> None:
        """A connection ended, or could not be had; `refused`: nobody listens there."""
        self.sentinel.stir()
        before = link.pubsub if pubsub else link.command
        if before is not LinkState.UP and (owners := self._owners(link)):
            kind, why = ("pubsub" if pubsub else "cmd"), ("refused" if refused else "failed")
            self.sentinel.tell(f"-{kind}-link-reconnection", owners[0], f"#Connection {why}", "debug")
        if pubsub:
            if link.pubsub is LinkState.UP:
                link.pubsub_tried_ms = -(10**9)
            link.pubsub = LinkState.DOWN
            return
        if link.command is LinkState.UP:
            link.command_tried_ms = -(10**9)
        link.command, link.pending_commands = LinkState.DOWN, 0
        if refused and link.was_up and link.refused_since_ms is None:
            link.refused_since_ms = now_ms
            for each in self._owners(link):
                if isinstance(each, Primary):
                    for replica in each.replicas.values():
                        asking.ask_info(self.sentinel, replica, now_ms)

    def message(self, link: Link, channel_text: str, now_ms: int) -> None:
        """A message came on the hello channel of a node."""
        link.pubsub_heard_ms = now_ms
        if channel_text == ASK_ME:
            for each in self._owners(link):
                granting.grant(self.sentinel, each, now_ms)
        self.hello(channel_text, now_ms)

    def hello(self, text: str, now_ms: int) -> None:
        """A hello came, from a node or from a Sentinel itself."""
        hello = parse_hello(text)
        if hello is not None:
            observation.hello_came(self.sentinel, hello, now_ms)

    # ---- one look ----

    def _group(self, primary: Primary, now_ms: int) -> None:
        """Look at the primary, at whoever does not rest, and decide."""
        sentinel = self.sentinel
        self._instance(primary, now_ms)
        for each in (*primary.replicas.values(), *primary.sentinels.values()):
            if not resting.rests(sentinel, each, now_ms):
                self._instance(each, now_ms)
            else:
                self._grant(each, now_ms)
        if sentinel.tilt_since_ms is None:
            self._decide(primary, now_ms)

    def _resting_group(self, primary: Primary, now_ms: int) -> None:
        """Look at whoever does not rest: with the primary all is well, and nothing to be decided."""
        sentinel = self.sentinel
        self._grant(primary, now_ms)
        if now_ms < primary.others_rest_until_ms and primary.others_rest_stirs == sentinel.stirs:
            return
        others = (*primary.replicas.values(), *primary.sentinels.values())
        primary.others_rest_stirs = sentinel.stirs
        for each in others:
            if not resting.rests(sentinel, each, now_ms):
                self._instance(each, now_ms)
            else:
                self._grant(each, now_ms)
        primary.others_rest_until_ms = min((resting.surely_until_ms(each) for each in others), default=0)

    def _grant(self, instance: Instance, now_ms: int) -> None:
        period_ms = instance.grant_period_ms
        if period_ms and now_ms - instance.granted_ms >= period_ms:
            granting.grant(self.sentinel, instance, now_ms)

    def _check_tilt(self, now_ms: int) -> None:
        sentinel = self.sentinel
        gap_ms, sentinel.looked_ms = now_ms - sentinel.looked_ms, now_ms
        if gap_ms < 0 or gap_ms > sentinel.times.tilt_trigger:
            sentinel.tilt_since_ms = now_ms
            sentinel.tell_text("+tilt", "#tilt mode entered")
        elif sentinel.tilt_since_ms is not None and (
            now_ms - sentinel.tilt_since_ms >= sentinel.times.tilt_period
            or down.is_known_anew(sentinel, sentinel.tilt_since_ms, now_ms)
        ):
            sentinel.tilt_since_ms = None
            sentinel.tell_text("-tilt", "#tilt mode exited")

    def _instance(self, instance: Instance, now_ms: int) -> None:
        sentinel = self.sentinel
        if down.hung_connection(instance, sentinel.times, now_ms):
            asking.disconnect(sentinel, instance.link, pubsub=False)
        if down.silent_pubsub(instance, sentinel.times, now_ms):
            asking.disconnect(sentinel, instance.link, pubsub=True)
        asking.connect(sentinel, instance, now_ms)
        granting.periodic(sentinel, instance, now_ms)  # first: a node without a lease holds PUBLISH back
        asking.periodic(sentinel, instance, now_ms)
        if sentinel.tilt_since_ms is not None:
            return
        is_down = down.is_down(instance, sentinel.times, now_ms)
        if is_down and not instance.is_sdown:
            instance.sdown_since_ms = now_ms
            sentinel.tell("+sdown", instance)
            if isinstance(instance, Primary):
                for replica in instance.replicas.values():
                    asking.ask_info(sentinel, replica, now_ms)
        elif not is_down and instance.is_sdown:
            instance.sdown_since_ms = None
            instance.script_killed = False
            sentinel.tell("-sdown", instance)
        resting.rest(sentinel, instance, now_ms)

    def _decide(self, primary: Primary, now_ms: int) -> None:
        sentinel = self.sentinel
        primary.is_unsure = down.suspicion(primary) is Suspicion.UNSURE
        failover.objectively_down(sentinel, primary, now_ms)
        started = failover.start_if_needed(sentinel, primary, now_ms)
        failover.step(sentinel, primary, now_ms)
        asking.ask_others(sentinel, primary, now_ms, forced=started)
        self._forget_dead_replicas(primary, now_ms)

    def _forget_dead_replicas(self, primary: Primary, now_ms: int) -> None:
        limit_ms = primary.options.forget_replicas_after_ms
        if not limit_ms or primary.in_failover:
            return
        for name, each in list(primary.replicas.items()):
            if each.sdown_since_ms is not None and now_ms - each.sdown_since_ms > limit_ms:
                self.sentinel.tell("-slave", each, level="notice")
                observation.drop(self.sentinel, each)
                del primary.replicas[name]
                self.sentinel.persist()

    # ---- below ----

    def _info_came(self, instance: Instance, text: str, now_ms: int) -> None:
        self._has_news = True
        observation.info_came(self.sentinel, instance, text, now_ms)

    def _owners(self, link: Link) -> list[Instance]:
        return [
            each
            for primary in self.sentinel.primaries.values()
            for each in (primary, *primary.replicas.values(), *primary.sentinels.values())
            if each.link is link
        ]
