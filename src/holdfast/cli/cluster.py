"""`holdfast cluster`: make a cluster, look at it, move its slots, change its nodes, mend it.

Only the door: options, words, exit codes. What is done is decided in `holdfast.cluster.jobs`.
Works on stock nodes as on our own; docs/cluster-jobs.md is the guide.

How to read it: one function a sub-command, in the order of a cluster's life.

Exit codes of all: 0 done (status: no error found); 1 status found an error; 2 wrong usage;
3 cancelled, can be gone on with; 4 stopped by a fault, can be gone on with; 5 refused: nothing, or
no more, is changed without a decision.
"""

from __future__ import annotations

import click

from holdfast.cli.cluster_options import (
    ADDRESS,
    DONE,
    REFUSED,
    UNHEALTHY,
    Door,
    access_options,
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
from holdfast.cluster.jobs.topology import Picture

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
    session = Session(door, seeds)
    nodes = {f"{host}:{port}": (host, port) for host, port in seeds}

    async def work() -> int:
        wanted = read_weights(weights, lambda name: name)
        layout = place({name: host for name, (host, _) in nodes.items()}, replicas, wanted)
        session.report["plan"] = layout_json(layout)
        session.show(layout_table(layout))
        for warning in layout.warnings:
            session.say(f"[yellow]warning[/] {warning}")
        if dry_run:
            return DONE
        session.confirm("Make this cluster?", yes=yes)
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
    if bool(orders) == (target is not None and count is not None):
        raise click.UsageError("give --to and --slots, or --move")
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
                raise click.UsageError(str(error)) from error
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
        more = "".join(f" --weight {word}" for word in weights)
        resume = f"holdfast cluster rebalance {session.seed_words} --threshold 0{more}"
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
    session = Session(door, (seed,))

    async def work() -> int:
        picture = await session.ready(settings, dry_run=dry_run, yes=yes)
        members = {
            node.id: [node.host, *(each.host for each in picture.replicas_of(node.id))]
            for node in picture.primaries if node.ranges
        }  # fmt: skip
        by_address = {node.address: node for node in picture.nodes.values()}
        leads: dict[tuple[str, int], str] = {}
        for host, port in new:
            there = by_address.get(f"{host}:{port}")
            if there is not None and there.primary_id and replica_of is None:
                leads[host, port] = there.primary_id  # was added before
                continue
            lead = ""
            if replica_of is not None:
                try:
                    lead = primary_named(picture, replica_of)
                except LookupError as error:
                    raise click.UsageError(str(error)) from error
            elif replica:
                lead = follow(host, members)
                members[lead].append(host)
            leads[host, port] = lead
        session.report["plan"] = [
            {"node": f"{host}:{port}", "replica_of": lead or None} for (host, port), lead in leads.items()
        ]
        for (host, port), lead in leads.items():
            role = f"replica of {picture.nodes[lead].address}" if lead else "primary without slots"
            session.show(f"{host}:{port}: {role}")
        if dry_run:
            return DONE
        session.confirm("Take them in?", yes=yes)
        for (host, port), lead in leads.items():
            await membership.join(session.contact, host, port, lead, session.say)
        if balanced:
            picture = await session.contact.survey()
            moves = balance.rebalance(holdings(picture), {})
            words = " ".join(f"{host}:{port}" for host, port in new)
            resume = f"holdfast cluster add {session.seed_words} {words} --rebalance"
            return await carry_out(session, picture, moves, settings, resume, dry_run, yes)
        session.show(f"{len(leads)} nodes were taken in.")
        return DONE

    run_command(session, work)


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
            raise click.UsageError(str(error)) from error
        if seed == session.contact.addresses.get(leaving.id) and len(picture.views) > 1:
            raise click.UsageError("ADDRESS must be another node than the one that goes")
        held = picture.slots_of(leaving.id)
        if held and leaving.id not in picture.views:
            raise Stop(f"{leaving.address} does not answer and serves {len(held)} slots. "
                       f"First: holdfast cluster fix {session.seed_words}", REFUSED)  # fmt: skip
        moves = balance.drain(holdings(picture), leaving.id) if held else []
        session.plan(picture, moves)
        session.show(f"Then {leaving.address} leaves the cluster.")
        if dry_run:
            return DONE
        session.confirm("Begin?", yes=yes)
        followers = [each.id for each in picture.replicas_of(leaving.id)]
        if moves:
            await session.move(
                picture, moves, settings, f"holdfast cluster remove {session.seed_words} {leaving.id}"
            )
        await membership.leave(
            session.contact, leaving.id, heirs(picture, leaving.id, followers), session.say
        )
        session.show(f"{leaving.address} has left the cluster.")
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
        session.confirm("Begin?", yes=yes or accept_data_loss)
        refused = set()
        for risk in dict.fromkeys(
            each.risk.replace(f"slot {each.slot}", "some slots") for each in found if each.risk
        ):
            try:
                session.confirm(f"{risk}. Do it all the same?", yes=accept_data_loss)
            except Stop:
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
        session.confirm("Begin?", yes=yes)
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
