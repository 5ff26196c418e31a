"""`holdfast cluster`: make a cluster, look at it, move its slots, change its nodes, mend it.

Only the door: options, words, exit codes. What is done is decided in `holdfast.cluster.jobs`.
Works on stock nodes as on our own; docs/cluster-jobs.md is the guide.

How to read it: one function a sub-command, in the order of a cluster's life.

Exit codes of all: 0 done (status: no error found); 1 status found an error; 2 wrong usage;
3 cancelled, can be gone on with; 4 stopped by a fault, can be gone on with; 5 refused: nothing, or
no more, is changed without a decision.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import click

from holdfast.cli.cluster_options import (
    ADDRESS,
    CANCELLED,
    DONE,
    REFUSED,
    UNHEALTHY,
    Door,
    access_options,
    each_once,
    pace_options,
    plan_options,
    primary_named,
    read_weights,
    read_wishes,
)
from holdfast.cli.cluster_run import Session, Stop, resume_moves, run_command
from holdfast.cli.cluster_words import (
    finding_words,
    layout_json,
    layout_table,
    moves_json,
    promise_words,
    remedies_json,
    remedies_table,
    status_json,
    status_table,
)
from holdfast.cluster.jobs import balance, membership
from holdfast.cluster.jobs.balance import NoPlan
from holdfast.cluster.jobs.health import Gravity, examine, shards
from holdfast.cluster.jobs.mending import remedies
from holdfast.cluster.jobs.mover import Settings
from holdfast.cluster.jobs.placement import follow, place
from holdfast.cluster.jobs.surgeon import cases_of, facts_of
from holdfast.cluster.jobs.topology import Picture, View

Seeds = tuple[tuple[str, int], ...]
seeds_argument = click.argument("seeds", type=ADDRESS, nargs=-1, required=True, metavar="ADDRESS...")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cluster() -> None:
    """Clusters: create, look at, reshard, rebalance, add and remove nodes, fix.

    ADDRESS is host:port of any node; more of them are tried when the first does not answer.

    Exit codes: 0 done; 1 status found an error; 2 wrong usage; 3 cancelled; 4 stopped by a fault;
    5 refused, a decision is needed. After 3 and 4 the same job goes on where it stopped.
    """


@cluster.command("create")
@seeds_argument
@click.option(
    "--replicas", type=click.IntRange(0), default=0, show_default=True, help="Replicas of each primary."
)
@click.option(
    "--weight", "weights", multiple=True, metavar="ADDRESS=W", help="How many slots, beside others (1)."
)
@plan_options
@access_options
def create(
    seeds: Seeds, replicas: int, weights: tuple[str, ...], dry_run: bool, yes: bool, door: Door
) -> None:
    """Make a cluster of empty nodes.

    Each address is a node of it. No replica shares the host of its primary where the hosts allow it.
    Stopped half-way, the same command goes on.
    """
    each_once(seeds)
    session = Session(door, seeds)
    nodes = {f"{host}:{port}": (host, port) for host, port in seeds}

    def given(name: str) -> str:
        if name not in nodes:
            raise LookupError(f"{name} is none of the addresses")
        return name

    wanted = read_weights(weights, given)

    async def work() -> int:
        layout = place({name: host for name, (host, _) in nodes.items()}, replicas, wanted)
        if following := [name for name in wanted if name in layout.replicas]:
            raise click.UsageError(f"--weight {following[0]}: this node becomes a replica: it holds no slots")
        await membership.check(nodes, layout, door.access)
        session.report["plan"] = layout_json(layout)
        session.show(layout_table(layout))
        for warning in layout.warnings:
            session.say(f"[yellow]warning[/] {warning}")
        if dry_run:
            return DONE
        await session.confirm("Make this cluster?", yes=yes)
        await membership.create(nodes, layout, door.access, session.say)
        session.show(
            f"A cluster of {len(layout.primaries)} primaries and {len(layout.replicas)} replicas is ready."
        )
        return DONE

    run_command(session, work, connect=False)


@cluster.command("status")
@seeds_argument
@access_options
def status(seeds: Seeds, door: Door) -> None:
    """Show every shard and all that is wrong.

    Exit codes: 0 no error (there may be warnings); 1 an error.
    """
    session = Session(door, seeds)

    async def work() -> int:
        picture = await session.contact.survey()
        facts = await facts_of(session.contact, picture)
        described, found = shards(picture, facts), examine(picture, facts)
        session.report |= status_json(picture, described, found, facts)
        session.show(status_table(picture, described))
        session.show(f"{len(picture.owners):,} of 16,384 slots are covered, "
                     f"{len(picture.views)} of {len(picture.nodes)} nodes answer.")  # fmt: skip
        for line in [*promise_words(described), *finding_words(found)]:
            session.show(line)
        return UNHEALTHY if any(each.gravity is Gravity.ERROR for each in found) else DONE

    run_command(session, work)


@cluster.command("reshard")
@seeds_argument
@click.option("--to", "target", metavar="NODE", help="Who gets the slots (address, id, or its beginning).")
@click.option("--from", "sources", multiple=True, metavar="NODE", help="Who gives; none: all others.")
@click.option("--slots", "count", type=click.IntRange(1, 16384), help="How many.")
@click.option("--move", "orders", multiple=True, metavar="SLOTS=NODE",
              help="Instead: these slots (0-99,200) to that node. May be said again.")  # fmt: skip
@pace_options
@plan_options
@access_options
def reshard(
    seeds: Seeds, target: str | None, sources: tuple[str, ...], count: int | None, orders: tuple[str, ...],
    settings: Settings, dry_run: bool, yes: bool, door: Door,
) -> None:  # fmt: skip
    """Move slots: so many from some nodes to one, or just these."""
    is_counted = target is not None or count is not None or bool(sources)
    if bool(orders) == is_counted or (is_counted and None in (target, count)):
        raise click.UsageError("give --to and --slots (and --from), or --move alone")
    session = Session(door, seeds)

    async def work() -> int:
        picture = await session.ready(settings, dry_run=dry_run, yes=yes)
        if orders:
            moves = balance.placed(picture.owners, read_wishes(orders, picture))
        else:
            assert target is not None and count is not None
            try:
                taker = primary_named(picture, target)
                givers = [primary_named(picture, each) for each in sources] or list(holdings(picture))
            except LookupError as error:
                raise click.UsageError(str(error.args[0])) from error
            moves = balance.reshard(holdings(picture), givers, taker, count)
        return await carry_out(session, picture, moves, settings, resume_moves(session, moves), dry_run, yes)

    run_command(session, work)


@cluster.command("rebalance")
@seeds_argument
@click.option(
    "--weight", "weights", multiple=True, metavar="NODE=W", help="A node's share beside others (1); 0: none."
)
@click.option("--threshold", type=click.FloatRange(0, 100), default=2.0, show_default=True, metavar="PERCENT",
              help="Do nothing while every node is so near to its share.")  # fmt: skip
@pace_options
@plan_options
@access_options
def rebalance(
    seeds: Seeds, weights: tuple[str, ...], threshold: float,
    settings: Settings, dry_run: bool, yes: bool, door: Door,
) -> None:  # fmt: skip
    """Give every primary its share of slots, with as few moves as that takes.

    Primaries without slots are given some, too.
    """
    session = Session(door, seeds)

    async def work() -> int:
        picture = await session.ready(settings, dry_run=dry_run, yes=yes)
        wanted = read_weights(weights, lambda name: primary_named(picture, name))
        moves = balance.rebalance(holdings(picture), wanted, threshold / 100)
        more = (f"--weight {shlex.quote(word)}" for word in weights)
        resume = session.command("rebalance", "--threshold 0", *more)
        return await carry_out(session, picture, moves, settings, resume, dry_run, yes)

    run_command(session, work)


@cluster.command("add")
@click.argument("seed", type=ADDRESS, metavar="ADDRESS")
@click.argument("new", type=ADDRESS, nargs=-1, required=True, metavar="NEW...")
@click.option(
    "--replica", is_flag=True, help="As replicas, each of the primary that has fewest, on another host."
)
@click.option("--replica-of", metavar="NODE", help="As replicas of this primary.")
@click.option(
    "--rebalance", "balanced", is_flag=True, help="As primaries, and give them their share of slots."
)
@pace_options
@plan_options
@access_options
def add(
    seed: tuple[str, int], new: Seeds, replica: bool, replica_of: str | None, balanced: bool,
    settings: Settings, dry_run: bool, yes: bool, door: Door,
) -> None:  # fmt: skip
    """Take NEW empty nodes into the cluster of ADDRESS."""
    if (replica or replica_of is not None) and balanced:
        raise click.UsageError("a replica holds no slots: --rebalance goes with primaries")
    if replica and replica_of is not None:
        raise click.UsageError("give --replica or --replica-of, not both")
    each_once(new)
    session = Session(door, (seed,))

    async def work() -> int:
        picture = await session.ready(settings, dry_run=dry_run, yes=yes)
        views = {each: await membership.candidate(session.contact, picture, *each) for each in new}
        leads = leads_of_new(picture, views, replica, replica_of)
        if balanced and (following := [each for each, lead in leads.items() if lead]):
            raise click.UsageError(f"{written_address(following[0])} is a replica: it holds no slots")
        session.report["plan"] = session.report["nodes"] = [
            {"node": written_address(each), "replica_of": lead or None} for each, lead in leads.items()
        ]
        for each, lead in leads.items():
            there = " (it is there already)" if views[each].myself in picture.nodes else ""
            role = f"replica of {picture.nodes[lead].address}" if lead else "primary"
            session.show(f"{written_address(each)}: {role}{there}")
        if balanced:
            grown = Picture({**{view.myself: view for view in views.values()}, **picture.views}, {})
            session.plan(grown, balance.rebalance(holdings(grown), {}))
        if dry_run:
            return DONE
        await session.confirm("Take them in?", yes=yes)
        for (host, port), lead in leads.items():
            await membership.join(session.contact, host, port, lead, session.say)
        if balanced:
            picture = await session.contact.survey()
            moves = balance.rebalance(holdings(picture), {})
            resume = session.command("add", *map(written_address, new), "--rebalance")
            session.report["plan"] = moves_json(picture, moves)
            if moves:
                await session.move(picture, moves, settings, resume)
            return DONE
        session.show(f"{len(leads)} nodes were taken in.")
        return DONE

    run_command(session, work)


def leads_of_new(
    picture: Picture, views: Mapping[tuple[str, int], View], replica: bool, replica_of: str | None
) -> dict[tuple[str, int], str]:
    """Choose whom each node to be taken in follows; "": it becomes a primary. Raises click.UsageError."""
    members = {
        node.id: [node.host, *(each.host for each in picture.replicas_of(node.id))]
        for node in picture.primaries if node.ranges
    }  # fmt: skip
    leads: dict[tuple[str, int], str] = {}
    for (host, port), view in views.items():
        there = picture.nodes.get(view.myself)
        if there is not None and there.ranges and (replica or replica_of is not None):
            raise click.UsageError(f"{host}:{port} serves slots of this cluster: it cannot be a replica")
        if there is not None and there.primary_id and replica_of is None:
            leads[host, port] = there.primary_id  # was added before
            continue
        lead = ""
        if replica_of is not None:
            try:
                lead = primary_named(picture, replica_of)
            except LookupError as error:
                raise click.UsageError(str(error.args[0])) from error
            if lead == view.myself:
                raise click.UsageError(f"{host}:{port} cannot follow itself")
        elif replica:
            lead = follow(host, members)
            members[lead].append(host)
        leads[host, port] = lead
    return leads


def written_address(address: tuple[str, int]) -> str:
    """Return host:port."""
    return f"{address[0]}:{address[1]}"


@cluster.command("remove")
@click.argument("seed", type=ADDRESS, metavar="ADDRESS")
@click.argument("node", metavar="NODE")
@pace_options
@plan_options
@access_options
def remove(
    seed: tuple[str, int], node: str, settings: Settings, dry_run: bool, yes: bool, door: Door
) -> None:
    """Take NODE (address, id, or its beginning) out of the cluster of ADDRESS.

    A primary gives its slots to the others first, and its replicas go to the shards that need them
    most. A node that does not answer can be taken out once it serves no slots.
    """
    session = Session(door, (seed,))

    async def work() -> int:
        picture = await session.ready(settings, dry_run=dry_run, yes=yes)
        try:
            leaving = picture.find(node)
        except LookupError as error:
            raise click.UsageError(str(error.args[0])) from error
        if seed == session.contact.addresses.get(leaving.id) and len(picture.views) > 1:
            raise click.UsageError("ADDRESS must be another node than the one that goes")
        held = picture.slots_of(leaving.id)
        if held and leaving.id not in picture.views:
            raise Stop(f"{leaving.address} does not answer and serves {len(held)} slots. "
                       f"First: {session.command('fix')}", REFUSED)  # fmt: skip
        moves = balance.drain(holdings(picture), leaving.id) if held else []
        followers = [each.id for each in picture.replicas_of(leaving.id)]
        follow_then = heirs(picture, leaving.id, followers)
        session.plan(picture, moves)
        session.report["replicas"] = [
            {"node": picture.nodes[name].address, "replica_of": lead} for name, lead in follow_then.items()
        ]
        for name, lead in follow_then.items():
            session.show(f"Then {picture.nodes[name].address} follows {picture.nodes[lead].address}.")
        session.show(f"Then {leaving.address} leaves the cluster.")
        if dry_run:
            return DONE
        await session.confirm("Begin?", yes=yes)
        if moves:
            await session.move(picture, moves, settings, session.command("remove", leaving.id))
        await membership.leave(session.contact, leaving.id, follow_then, session.say)
        session.show(f"{leaving.address} has left the cluster.")
        if leaving.id not in picture.views:
            session.report["remembers"] = True
            session.show(f"It did not answer, so it still remembers the cluster. Before it is used again: "
                         f"{membership.reset_words(leaving.address)}.")  # fmt: skip
        return DONE

    run_command(session, work)


@cluster.command("fix")
@seeds_argument
@click.option("--accept-data-loss", is_flag=True, help="Say yes to what could lose data, too.")
@pace_options
@plan_options
@access_options
def fix(
    seeds: Seeds, accept_data_loss: bool, settings: Settings, dry_run: bool, yes: bool, door: Door
) -> None:  # fmt: skip
    """Finish moves that stopped half-way, clear marks, cover slots, bring stray keys home.

    What could lose data is asked for one by one; --yes does not answer that, --accept-data-loss does.
    """
    session = Session(door, seeds)

    async def work() -> int:
        picture = await session.contact.survey()
        await session.still(picture)
        found = remedies(await cases_of(session.contact, picture, strays=True), picture)
        session.report["plan"] = remedies_json(picture, found)
        for name in picture.unreachable:
            if not picture.is_held_for_dead(name) and picture.slot_count_of(name):
                address = picture.nodes[name].address
                session.say(f"[yellow]warning[/] {address} does not answer us, and the others hear it: "
                            "its slots stay as they are.")  # fmt: skip
        if not found:
            session.show("No slot needs anything.")
            return DONE
        session.show(remedies_table(picture, found))
        if dry_run:
            return DONE
        await session.confirm("Begin?", yes=yes or accept_data_loss)
        refused = set()
        for risk in dict.fromkeys(
            each.risk.replace(f"slot {each.slot}", "some slots") for each in found if each.risk
        ):
            try:
                await session.confirm(f"{risk}. Do it all the same?", yes=accept_data_loss)
            except Stop as stop:
                if stop.code == CANCELLED:
                    raise
                refused.add(risk)
        chosen = [
            each for each in found if each.risk.replace(f"slot {each.slot}", "some slots") not in refused
        ]
        await session.mend(chosen, settings, picture)
        if refused:
            raise Stop(
                "Left as it was, since data could be lost (--accept-data-loss): " + "; ".join(refused),
                REFUSED,
            )
        session.show("All slots are in order.")
        return DONE

    run_command(session, work)


async def carry_out(
    session: Session, picture: Picture, moves: list[balance.Move], settings: Settings, resume: str,
    dry_run: bool, yes: bool,
) -> int:  # fmt: skip
    """Show moves, ask, do them. Raises Stop."""
    session.plan(picture, moves)
    if moves and not dry_run:
        await session.confirm("Begin?", yes=yes)
        await session.move(picture, moves, settings, resume)
    return DONE


def holdings(picture: Picture) -> dict[str, list[int]]:
    """Return the slots of each living primary."""
    return {node.id: picture.slots_of(node.id) for node in picture.primaries}


def heirs(picture: Picture, leaving: str, followers: list[str]) -> dict[str, str]:
    """Choose whom the replicas of a node that goes follow from now on."""
    members = {
        node.id: [node.host, *(each.host for each in picture.replicas_of(node.id))]
        for node in picture.primaries
        if node.id != leaving and (node.ranges or picture.slots_of(leaving))
    }
    chosen = {}
    for name in followers:
        if not members:
            raise NoPlan("nobody is there whom its replicas could follow")
        chosen[name] = follow(picture.nodes[name].host, members)
        members[chosen[name]].append(picture.nodes[name].host)
    return chosen
