"""What follows from INFO and from hello: roles, replicas, wrong configurations, other Sentinels.

What it is: the changes of the model that news brings, with their events. What it is not:
the failover (`failover` looks at the model at every step), asking (`asking`).

How to read it: `info_came`, then `hello_came`, then `change_address`, which every switch
to another primary ends in.

A node that claims to lead where another does is told to follow. Redis waits 8 s first, in
case its own view is old: the claim may be the newer truth of a failover that another
Sentinel leads. Here a former primary that has not followed since is told at once, as long
as most of the other Sentinels have been heard lately: nobody promotes a node that is down.
That it has not followed is not only what we saw of it: its replication ids tell, for it may have
been back, in sync and promoted by another Sentinel between two of our looks.
"""

from __future__ import annotations

from holdfast.sentinel import asking, down, granting, hand_over, orders
from holdfast.sentinel.effects import RunScript
from holdfast.sentinel.hello import Hello
from holdfast.sentinel.info_reply import InfoReply, parse_info
from holdfast.sentinel.model import Address, Failover, Instance, Primary, Reconf, Role, Sentinel

CONVERT_AGAIN_MS = 1000


def info_came(sentinel: Sentinel, instance: Instance, text: str, now_ms: int) -> None:
    """Take the reply to INFO."""
    sentinel.stir()
    told = parse_info(text)
    instance.info_text, instance.info_ms = text, now_ms
    _note_stranger(sentinel, instance, told)
    if instance.is_stranger:
        return
    _note_identity(sentinel, instance, told, now_ms)
    if isinstance(instance, Primary):
        _note_replicas(sentinel, instance, told, now_ms)
    instance.failover_state = told.failover_state
    instance.link_down_ms = told.link_down_ms
    role = {"master": Role.PRIMARY, "slave": Role.REPLICA}.get(told.role)
    if role is Role.REPLICA:
        _note_replication(instance, told, now_ms)
    instance.history = told.history if role is Role.PRIMARY else ""
    instance.history_before = told.history_before if role is Role.PRIMARY else ""
    if role is None:
        return
    if role is not instance.role_reported:
        instance.role_reported, instance.role_reported_ms = role, now_ms
        if role is Role.REPLICA:
            instance.primary_changed_ms = now_ms
        event = "+role-change" if role is instance.role else "-role-change"
        sentinel.tell(event, instance, f"new reported role is {role.value}", "verbose")
    if sentinel.tilt_since_ms is not None:
        return
    if isinstance(instance, Primary):
        _demote_old_primary(sentinel, instance, role, now_ms)
    elif role is Role.PRIMARY:
        _replica_leads(sentinel, instance, now_ms)
    else:
        _replica_follows(sentinel, instance, now_ms)


# ---- what a node is ----


def _note_stranger(sentinel: Sentinel, instance: Instance, told: InfoReply) -> None:
    """Note whether another node answers where one of ours was: its address was given away.

    What it says is not about our node, and no order or grant is for it. A node that lost its disk comes
    back so, too: it is welcome as soon as it follows our primary, or holds nothing.
    """
    group = instance.group
    is_other = bool(instance.kept_id and told.node_id) and told.node_id != instance.kept_id
    if is_other and instance is not group:
        joins = told.role == "slave" and group.address.is_at(told.primary_host or "", told.primary_port or 0)
        is_other = not joins and not (told.role == "master" and not told.key_count)
    if is_other and not instance.is_stranger:
        sentinel.log(f"{told.node_id} answers where {instance.kept_id} was, {instance.name}", "warning")
        if isinstance(instance, Primary):
            _lost_history(sentinel, instance, "another node answers at its address")
    instance.is_stranger = is_other
    if not is_other:
        leads_under_lease = isinstance(instance, Primary) and bool(instance.voter_list.ids)
        instance.kept_id = told.node_id if told.fence_epoch or leads_under_lease else ""


def _note_identity(sentinel: Sentinel, instance: Instance, told: InfoReply, now_ms: int) -> None:
    instance.node_id, instance.fence_epoch = told.node_id, told.fence_epoch
    instance.standing, instance.lease_lost = told.standing, told.lease == "lost"
    instance.is_copying = told.is_copying
    if told.run_id and instance.run_id and told.run_id != instance.run_id:
        sentinel.tell("+reboot", instance, level="notice")
        if isinstance(instance, Primary):
            if instance.options.reboot_down_after_ms:
                instance.rebooted_ms = now_ms
            had_keys = instance.key_count or any(each.key_count for each in instance.replicas.values())
            if told.key_count == 0 and had_keys and instance.replicas and not told.is_loading:
                _lost_history(sentinel, instance, "it came back empty")
    if not told.fails_writes:
        instance.fails_writes_since_ms = None
    elif instance.fails_writes_since_ms is None:
        instance.fails_writes_since_ms = now_ms
    if told.run_id:
        instance.run_id = told.run_id
    if told.key_count is not None and not told.is_loading:
        instance.key_count = told.key_count
    if instance.node_id and instance.role is Role.REPLICA:
        _forget_old_address(sentinel, instance)


def _lost_history(sentinel: Sentinel, primary: Primary, why: str) -> None:
    if not primary.lost_history:
        primary.lost_history = True
        sentinel.log(f"{primary.name} has lost its data: {why}; a replica that has it is to lead", "warning")


def _forget_old_address(sentinel: Sentinel, instance: Instance) -> None:
    """A node of ours is known by its id: where it was seen before is not another node."""
    group = instance.group
    for name, other in list(group.replicas.items()):
        if other is not instance and other.node_id == instance.node_id and not other.link.is_up:
            sentinel.tell("-slave", other, level="notice")
            drop(sentinel, other)
            del group.replicas[name]
            sentinel.stir()
            sentinel.persist()


def _note_replicas(sentinel: Sentinel, primary: Primary, told: InfoReply, now_ms: int) -> None:
    for host, port in told.replicas:
        if any(each.address.is_at(host, port) for each in primary.replicas.values()):
            continue
        replica = sentinel.add_replica(primary, Address(host, port, host), now_ms)
        if replica is not None:
            sentinel.tell("+slave", replica, level="notice")
            sentinel.persist()


def _note_replication(replica: Instance, told: InfoReply, now_ms: int) -> None:
    replica.led_before = False
    if told.primary_host is not None and told.primary_host.lower() != replica.primary_host.lower():
        replica.primary_host, replica.primary_changed_ms = told.primary_host, now_ms
    if told.primary_port is not None and told.primary_port != replica.primary_port:
        replica.primary_port, replica.primary_changed_ms = told.primary_port, now_ms
    if told.is_link_up is not None:
        replica.is_link_ok = told.is_link_up
    if told.priority is not None:
        replica.priority = told.priority
    if told.offset is not None:
        replica.offset = told.offset
    if told.is_announced is not None:
        replica.is_announced = told.is_announced
    replica.refused_primary = told.refused_primary


# ---- what its role means ----


def _demote_old_primary(sentinel: Sentinel, primary: Primary, role: Role, now_ms: int) -> None:
    """The old primary is seen alive while its successor already leads."""
    if role is not Role.PRIMARY or primary.failover is not Failover.RECONF_REPLICAS:
        return
    if primary.promoted in (None, primary) or now_ms - primary.converted_ms < CONVERT_AGAIN_MS:
        return
    assert primary.promoted is not None
    if not _leads_out_of_date(primary, primary.promoted):
        return
    if orders.follow(sentinel, primary, primary.promoted, now_ms):
        primary.converted_ms = now_ms
        sentinel.tell("+convert-to-slave", primary, level="notice")


def _replica_leads(sentinel: Sentinel, replica: Instance, now_ms: int) -> None:
    primary = replica.group
    if replica.is_promoted and primary.failover is Failover.WAIT_PROMOTION:
        promoted(sentinel, primary, replica, now_ms)
        return
    is_known = (
        replica.led_before
        and down.hears_majority(primary, sentinel.times, now_ms)
        and _leads_out_of_date(replica, primary)
    )
    wait_ms = 0 if is_known else sentinel.times.publish_period * 4
    if (
        not replica.is_promoted
        and not primary.in_failover
        and looks_sane(sentinel, primary, now_ms)
        and _has_been_up(replica, wait_ms, now_ms)
        and now_ms - replica.role_reported_ms >= wait_ms
        and now_ms - replica.converted_ms >= CONVERT_AGAIN_MS
        and orders.follow(sentinel, replica, primary, now_ms)
    ):
        replica.converted_ms = now_ms
        sentinel.tell("+convert-to-slave", replica, level="notice")


def _leads_out_of_date(node: Instance, leader: Instance) -> bool:
    """Tell whether a node that claims to lead has surely not followed the leader that we know of.

    If it has, it was promoted since: its claim is the newer truth. Of nodes of ours epochs tell, as soon as
    the leader has told its own: without one it would be ordered as a stock node is, and its clients cut off.
    """
    if node.node_id and leader.fence_epoch and leader.fence_epoch >= node.fence_epoch:
        return True
    return bool(leader.history) and node.history_before != leader.history


def promoted(sentinel: Sentinel, primary: Primary, replica: Instance, now_ms: int) -> None:
    """The chosen replica leads: from here on it is where clients go.

    It is granted, and the others are told, before the file is written: what both rest on, the votes of
    this epoch, was on disk when they were given, and writes wait for nothing else. A primary whose writes
    are paused follows first: it would hold a hello back, and all that is sent behind it.
    """
    primary.config_epoch = primary.failover_epoch
    primary.failover, primary.failover_changed_ms = Failover.RECONF_REPLICAS, now_ms
    if not sentinel.crash_after_promotion:
        if replica.node_id:
            granting.grant(sentinel, replica, now_ms)
        if primary.hand_over is not None:
            primary.converted_ms = now_ms
            orders.follow(sentinel, primary, replica, now_ms, closes_clients=False)
            hand_over.end(sentinel, primary)
            orders.send_away(sentinel, primary)
        asking.publish_everywhere(sentinel, primary, now_ms)
    sentinel.persist()
    sentinel.tell("+promoted-slave", replica)
    if sentinel.crash_after_promotion:
        sentinel.crash()
        return
    sentinel.tell("+failover-state-reconf-slaves", primary)
    reconfigure_clients(sentinel, primary, "leader", primary.address, replica.address)
    if primary.hand_over_sent:
        orders.close_clients(sentinel, primary)
        orders.close_clients(sentinel, replica)
        primary.hand_over_sent = False


def _replica_follows(sentinel: Sentinel, replica: Instance, now_ms: int) -> None:
    primary = replica.group
    if replica.refused_primary and not primary.in_failover and primary.role_reported is Role.PRIMARY:
        _lost_history(sentinel, primary, f"{replica.name} refuses it, {replica.refused_primary}")
    # A primary that waits for an order itself is followed by nobody, and its leader may have ordered a fetch.
    may_be_followed = not primary.in_failover and primary.standing not in ("fenced", "candidate")
    if (
        replica.standing in ("fenced", "candidate")  # its leader came to nothing, or it restarted
        and may_be_followed
        and primary.fence_epoch >= replica.fence_epoch
        and looks_sane(sentinel, primary, now_ms)
        and now_ms - replica.converted_ms >= CONVERT_AGAIN_MS
        and orders.follow(sentinel, replica, primary, now_ms)
    ):
        replica.converted_ms = now_ms
        sentinel.tell("+fix-slave-config", replica, level="notice")
    # A fence that came late leaves a node that names the right primary and follows nobody.
    is_astray = not primary.address.is_at(replica.primary_host, replica.primary_port)
    if is_astray or replica.standing == "fenced":
        wait_ms = primary.options.failover_timeout_ms
        if (
            may_be_followed
            and looks_sane(sentinel, primary, now_ms)
            and _has_been_up(replica, wait_ms, now_ms)
            and now_ms - max(replica.primary_changed_ms, replica.reconf_sent_ms) > wait_ms
            and orders.follow(sentinel, replica, primary, now_ms)
        ):
            replica.reconf_sent_ms = now_ms
            sentinel.tell("+fix-slave-config", replica, level="notice")
    target = primary.promoted
    if target is None:
        return
    if replica.reconf is Reconf.SENT and target.address.is_at(replica.primary_host, replica.primary_port):
        replica.reconf = Reconf.IN_PROGRESS
        sentinel.tell("+slave-reconf-inprog", replica, level="notice")
    if replica.reconf is Reconf.IN_PROGRESS and replica.is_link_ok:
        replica.reconf = Reconf.DONE
        sentinel.tell("+slave-reconf-done", replica, level="notice")


def looks_sane(sentinel: Sentinel, primary: Primary, now_ms: int) -> bool:
    """Tell whether the primary is surely the primary."""
    return (
        primary.role_reported is Role.PRIMARY
        and not primary.is_sdown
        and not primary.is_odown
        and primary.info_ms is not None
        and now_ms - primary.info_ms < sentinel.times.info_period * 2
    )


def _has_been_up(instance: Instance, wait_ms: int, now_ms: int) -> bool:
    since = instance.sdown_since_ms
    return since is None or now_ms - since > wait_ms or wait_ms == 0


# ---- hello ----


def hello_came(sentinel: Sentinel, hello: Hello, now_ms: int) -> None:
    """Take another Sentinel's message."""
    primary = sentinel.primaries.get(hello.name)
    if primary is None or hello.sentinel_id == sentinel.my_id:
        return
    other = primary.sentinels.get(hello.sentinel_id)
    if other is None or not other.address.is_at(hello.host, hello.port):
        other = _meet(sentinel, primary, hello, now_ms)
        sentinel.stir()
    if hello.epoch > sentinel.epoch:
        sentinel.epoch = hello.epoch
        sentinel.stir()
        sentinel.persist()
        sentinel.tell_text("+new-epoch", str(sentinel.epoch), instance=primary)
    if hello.config_epoch > primary.config_epoch:
        primary.config_epoch = hello.config_epoch
        primary.lost_history = False  # it was given back what it had lost, or another leads
        sentinel.stir()
        # Our own failover is superseded even where the newer one gave the role back to the node that ours
        # replaces: to end it now would set our choice against the others', in the same epoch, for good.
        is_superseded = primary.in_failover and primary.failover_epoch < hello.config_epoch
        if is_superseded or not primary.address.is_at(hello.primary_host, hello.primary_port):
            _follow_hello(sentinel, primary, other, hello, now_ms)
        sentinel.persist()
    other.hello_ms = now_ms


def _meet(sentinel: Sentinel, primary: Primary, hello: Hello, now_ms: int) -> Instance:
    """A Sentinel that is new, or that has moved."""
    address = Address(hello.host, hello.port, hello.host)
    known = primary.sentinels.pop(hello.sentinel_id, None)
    if known is not None:
        rest = f"ip {hello.host} port {hello.port} for {hello.sentinel_id}"
        sentinel.tell("+sentinel-address-switch", primary, rest, "notice")
        drop(sentinel, known)
    else:
        for other in primary.sentinels.values():
            if other.address.is_at(hello.host, hello.port):
                sentinel.tell("+sentinel-invalid-addr", other, level="notice")
                asking.disconnect(sentinel, other.link, pubsub=False)
                other.link.address = Address(other.address.host, 0, other.address.ip)
    met = sentinel.add_sentinel(primary, address, hello.sentinel_id, now_ms)
    assert met is not None
    if known is None:
        sentinel.tell("+sentinel", met, level="notice")
    else:
        met.is_ours, met.vote, met.vote_epoch = known.is_ours, known.vote, known.vote_epoch
        met.vote_list, met.vote_wait_until_ms = known.vote_list, known.vote_wait_until_ms
        _moved_elsewhere_too(sentinel, met)
    sentinel.persist()
    return met


def _moved_elsewhere_too(sentinel: Sentinel, met: Instance) -> None:
    """A Sentinel that has moved is the same one in every group that knows it."""
    others = [
        group.sentinels[met.run_id]
        for group in sentinel.primaries.values()
        if group is not met.group and met.run_id in group.sentinels
    ]
    for each in others:
        drop(sentinel, each)
        each.link = met.link
        met.link.owners += 1
    if others:
        rest = f"{len(others)} additional matching instances"
        sentinel.tell("+sentinel-address-update", met, rest, "notice")


def _follow_hello(sentinel: Sentinel, primary: Primary, other: Instance, hello: Hello, now_ms: int) -> None:
    new = Address(hello.primary_host, hello.primary_port, hello.primary_host)
    told, known = primary.current_address, primary.address
    leads_on = known.is_at(new.host, new.port)
    old = told if leads_on else known
    if leads_on:
        hand_over.end(sentinel, primary)
    sentinel.tell("+config-update-from", other)
    if old is not known or not leads_on:
        tell_switch(sentinel, primary, old, new)
    change_address(sentinel, primary, new, now_ms)
    for replica in primary.replicas.values():
        if replica.address.is_at(told.host, told.port):
            replica.led_before = True  # we had it lead
    if old is not known or not leads_on:
        reconfigure_clients(sentinel, primary, "observer", old, primary.address)


# ---- another primary ----


def tell_switch(sentinel: Sentinel, primary: Primary, old: Address, new: Address) -> None:
    """Publish the event that clients wait for."""
    text = f"{primary.name} {sentinel.shown(old)} {old.port} {sentinel.shown(new)} {new.port}"
    sentinel.tell_text("+switch-master", text, instance=primary)


def change_address(sentinel: Sentinel, primary: Primary, new: Address, now_ms: int) -> None:
    """Let another node be the primary; the old one and all others become its replicas.

    It was promoted in `config_epoch`, so it is granted at once, before the file is written (see `promoted`).
    """
    old_link = primary.link
    successor = next(
        (each for each in primary.replicas.values() if each.address.is_at(new.host, new.port)), None
    )
    kept = [
        (each.link, each.kept_id, each.is_stranger)
        for each in primary.replicas.values()
        if each is not successor
    ]
    if not old_link.address.is_at(new.host, new.port):
        kept.append((old_link, primary.kept_id, primary.is_stranger))
    primary.replicas = {}
    sentinel.stir()
    forget_failover(primary)
    primary.link = successor.link if successor is not None else sentinel.link_to(new, True, now_ms)
    if successor is None and old_link.address.is_at(new.host, new.port):
        primary.link = old_link
    primary.run_id = successor.run_id if successor is not None else ""
    primary.node_id = successor.node_id if successor is not None else ""
    primary.kept_id = successor.kept_id if successor is not None else ""
    primary.info_text = successor.info_text if successor is not None else ""
    primary.info_ms = successor.info_ms if successor is not None else None
    primary.history = successor.history if successor is not None else ""
    primary.info_sent_ms = -(10**9)
    primary.key_count = successor.key_count if successor is not None else None
    if successor is not None:
        primary.fails_writes_since_ms = successor.fails_writes_since_ms
        primary.standing, primary.lease_lost = "", False  # what it said last, it said before it led
        primary.lease_token, primary.lease_run_id = successor.lease_token, successor.lease_run_id
        primary.lease_epoch = max(successor.lease_epoch, primary.config_epoch)
        primary.token_ms, primary.restarted_in_epoch = successor.token_ms, successor.restarted_in_epoch
        primary.granted_ms = -(10**9)
    else:
        primary.standing, primary.lease_token, primary.lease_run_id, primary.lease_epoch = "", 0, "", 0
        primary.restarted_in_epoch = None
    primary.is_leaving = primary.is_stranger = False
    primary.exited_run_id = ""
    primary.fence_epoch = successor.fence_epoch if successor is not None else 0
    primary.sdown_since_ms = primary.odown_since_ms = None
    primary.rebooted_ms, primary.lost_history, primary.script_killed = None, False, False
    primary.role_reported, primary.role_reported_ms = Role.PRIMARY, now_ms
    link = primary.link
    link.ping_pending_since_ms, link.available_ms, link.answered_ms = None, now_ms, now_ms
    link.refused_since_ms = link.loading_since_ms = None
    for other in primary.sentinels.values():
        other.says_down = False
    for known, kept_id, is_stranger in kept:
        replica = sentinel.add_replica(primary, known.address, now_ms)
        if replica is not None:
            replica.link, replica.kept_id, replica.is_stranger = known, kept_id, is_stranger
            replica.led_before = replica.link is old_link
            sentinel.tell("+slave", replica, level="notice")
    if primary.node_id and link.is_up:
        granting.grant(sentinel, primary, now_ms)
    sentinel.persist()
    asking.ask_info(sentinel, primary, now_ms)
    for replica in primary.replicas.values():
        asking.ask_info(sentinel, replica, now_ms)


def forget_failover(primary: Primary) -> None:
    """End whatever failover is under way, without a word."""
    primary.failover, primary.promoted, primary.takeover = Failover.NONE, None, None
    primary.is_forced = primary.is_planned = primary.hand_over_sent = primary.must_change = False
    primary.hand_over = None
    primary.failover_start_ms, primary.election_rounds, primary.start_after_ms = None, 0, 0
    for replica in primary.replicas.values():
        replica.is_promoted, replica.reconf = False, Reconf.NONE


def reset(sentinel: Sentinel, primary: Primary, now_ms: int) -> None:
    """Forget replicas, Sentinels and failover of a primary (SENTINEL RESET)."""
    for each in (*primary.replicas.values(), *primary.sentinels.values()):
        drop(sentinel, each)
    primary.replicas, primary.sentinels = {}, {}
    asking.disconnect(sentinel, primary.link, pubsub=False)
    asking.disconnect(sentinel, primary.link, pubsub=True)
    forget_failover(primary)
    primary.leader = primary.run_id = primary.primary_host = ""
    primary.sdown_since_ms = primary.odown_since_ms = primary.rebooted_ms = None
    primary.lost_history = primary.script_killed = False
    primary.role_reported, primary.role_reported_ms = Role.PRIMARY, now_ms
    link = primary.link
    link.ping_pending_since_ms, link.ping_sent_ms = now_ms, -(10**9)
    link.available_ms = link.answered_ms = now_ms
    link.refused_since_ms = link.loading_since_ms = None
    sentinel.tell("+reset-master", primary)
    sentinel.persist()


def drop(sentinel: Sentinel, instance: Instance) -> None:
    """Close the connections of an instance that is forgotten, unless others share them."""
    instance.link.owners -= 1
    if instance.link.owners <= 0:
        asking.disconnect(sentinel, instance.link, pubsub=False)
        asking.disconnect(sentinel, instance.link, pubsub=True)


def reconfigure_clients(sentinel: Sentinel, primary: Primary, role: str, old: Address, new: Address) -> None:
    """Run the client-reconfig-script with Redis's arguments."""
    script = primary.options.client_reconfig_script
    if script:
        words = (primary.name, role, "start", sentinel.shown(old), str(old.port))
        sentinel.do(RunScript((script, *words, sentinel.shown(new), str(new.port))))
