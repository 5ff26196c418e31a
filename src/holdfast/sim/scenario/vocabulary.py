"""Every step that a scenario can take.

What this is: the table of steps; each acts on the stage and may return words to be printed.
What it is not: parsing (`form`) or printing (`runner`).

How to read it: in groups: nodes, clients, links, processes, machines, orders, time, ends.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable

from holdfast.engine.slots import slot_of_key
from holdfast.replication.orders import read_report
from holdfast.replication.promotion import FetchFirst, Promote, choose_promotion
from holdfast.sim.nodes import PORT
from holdfast.sim.scenario.cluster import form_cluster
from holdfast.sim.scenario.conditions import condition, shown
from holdfast.sim.scenario.form import ScenarioError, Table, positive, seconds, settings
from holdfast.sim.scenario.places import check
from holdfast.sim.scenario.stage import Stage, Unmet
from holdfast.sim.swarm.checks import Promise
from holdfast.sim.swarm.cluster_checks import ClusterChecks
from holdfast.sim.swarm.cluster_workload import ClusterWorkload, where_slots_move
from holdfast.sim.swarm.slot_mover import SlotMover

Does = Callable[..., str | None]
STEPS: Table[Does] = Table("step")
LATE_SECONDS = 0.005
"""What is less than this is not told as late."""


# ---- nodes, managers, clients ----


@STEPS.form("start {name:NEW}[ from {upstream:HOST}][ with {words:TEXT}]")
def start(stage: Stage, name: str, upstream: str | None = None, words: str | None = None) -> None:
    """Start a node on the host `name`, as a replica of another, with settings."""
    stage.start_node(name, upstream, settings(words))


@STEPS.form("manager {name:NEW}")
def manager(stage: Stage, name: str) -> None:
    """Start a manager of all nodes there are."""
    stage.start_manager(name)


@STEPS.form("nodes know each other by address")
def by_address(stage: Stage) -> None:
    """Tell nodes that start from now on of their primary by address, as Sentinels do."""
    stage.by_address = True


@STEPS.form("sentinels {count:COUNT} with down-after {time:TIME}[ and lease {lease:TIME}]")
def sentinels(stage: Stage, count: str, time: str, lease: str | None = None) -> None:
    """Start s1, s2 ... around the nodes there are."""
    if stage.history.sentinels or not stage.history.primary or not int(count):
        raise ScenarioError("Sentinels begin once, all of them, when there is a primary to watch")
    lease_ms = None if lease is None else int(seconds(lease) * 1000)
    stage.start_sentinels(int(count), int(seconds(time) * 1000), lease_ms)


@STEPS.form("clients {count:COUNT} at {rate:NUMBER} a second")
def clients(stage: Stage, count: str, rate: str) -> None:
    """Start clients that write and read, and the judges with them."""
    stage.start_clients(int(count), positive(rate, "a rate"))


@STEPS.form("stop clients")
def stop_clients(stage: Stage) -> str:
    """Let clients end after their present request."""
    for each in stage.clients:
        each.stopping = True
    for mover in stage.movers.values():
        mover.stopping = True
    return f"{len(stage.history.operations)} requests so far"


@STEPS.form("write {count:COUNT} keys at {name:HOST}")
def write_keys(stage: Stage, count: str, name: str) -> str:
    """Write key:0, key:1 ... at a node."""
    answers = [shown(stage.ask(name, "SET", f"key:{number}", number)) for number in range(int(count))]
    return ", ".join(f"{answers.count(each)} x {each}" for each in dict.fromkeys(answers))


@STEPS.form("write {key:KEY} = {value:KEY} at {name:HOST}")
def write(stage: Stage, key: str, value: str, name: str) -> str:
    """Write one key at a node."""
    return shown(stage.ask(name, "SET", key, value))


@STEPS.form("read {key:KEY} at {name:HOST}")
def read(stage: Stage, key: str, name: str) -> str:
    """Read one key at a node."""
    return shown(stage.ask(name, "GET", key))


@STEPS.form("ask {name:HOST}: {words:TEXT}")
def ask(stage: Stage, name: str, words: str) -> str:
    """Send any command to a node; `id:NAME` stands for the id of a cluster's node."""
    try:
        parts = shlex.split(words)
    except ValueError as error:
        raise ScenarioError(f"{words!r} cannot be cut into words: {error}") from None
    said = [_node_id(stage, each[3:]) if each.startswith("id:") else each for each in parts]
    return shown(stage.ask(name, *said))


def _node_id(stage: Stage, name: str) -> str:
    node = stage.nodes.latest.get(name)
    if node is None or node.cluster is None:
        raise ScenarioError(f"{name!r} is no node of a cluster")
    return node.cluster.me.id


@STEPS.form(
    "cluster of {primaries:NEWS}[ with replicas {replicas:NEWS}][ all in epoch {epoch:COUNT}]"
    "[ set {words:TEXT}]"
)
def cluster(
    stage: Stage,
    primaries: str,
    replicas: str | None = None,
    epoch: str | None = None,
    words: str | None = None,
) -> str:
    """Start a cluster: the slots shared among the primaries, the replicas following them in turn.

    The primaries begin in epochs 1, 2 …, or all in one, which they have to settle among themselves.
    """
    made = form_cluster(stage, primaries, replicas, settings(words), int(epoch) if epoch else None)
    if isinstance(stage.checks, ClusterChecks):
        leading, following = primaries.split(", "), replicas.split(", ") if replicas else []
        stage.checks.share([[name, *following[at :: len(leading)]] for at, name in enumerate(leading)])
    return made


@STEPS.form("judge a cluster")
def judge_cluster(stage: Stage) -> None:
    """Let those judge who know of slots; before the nodes start."""
    stage.checks = judges = ClusterChecks(stage.nodes, stage.history, stage.epochs, Promise())
    stage.nodes.adapt += (judges.observe,)


@STEPS.form("cluster clients {count:COUNT} at {rate:NUMBER} a second")
def cluster_clients(stage: Stage, count: str, rate: str) -> None:
    """Start clients that write all over the slots, and the judges."""
    stage.start_clients(int(count), positive(rate, "a rate"), ClusterWorkload)


@STEPS.form("cluster clients {count:COUNT} at {rate:NUMBER} a second where {slots:COUNT} slots move")
def cluster_clients_on_the_move(stage: Stage, count: str, rate: str, slots: str) -> None:
    """Start clients that write to the slots that are moved, and the judges."""
    stage.start_clients(int(count), positive(rate, "a rate"), where_slots_move(int(slots)))


@STEPS.form("slot mover {name:NEW} of {slots:COUNT} slots")
def slot_mover(stage: Stage, name: str, slots: str) -> None:
    """Start the tool on a host of its own: it moves slots until clients stop, and is killed now and then."""
    mover = stage.movers[name] = SlotMover(name, stage.nodes, int(slots))
    stage.world.start(name, mover.main)
    if isinstance(stage.checks, ClusterChecks):
        stage.checks.slots_move = True


@STEPS.form("slots are in order within {time:TIME}")
def slots_in_order(stage: Stage, time: str) -> str:
    """Let the movers finish what is half done, until there is nothing more; a late leader may have strays."""
    for each in stage.movers.values():
        each.is_last_look = True
    if not stage.await_true(lambda: all(each.is_done for each in stage.movers.values()), seconds(time)):
        raise Unmet("; ".join(f"{name}: {each.trouble}" for name, each in stage.movers.items()))
    return f"{sum(each.moved for each in stage.movers.values())} slots have moved"


@STEPS.form("give slots {first:COUNT} to {last:COUNT} from {name:NODE} to {other:NODE}")
def give_slots(stage: Stage, first: str, last: str, name: str, other: str) -> str:
    """Let a node give slots to another as a whole."""
    target = _node_id(stage, other)
    return shown(stage.ask(name, "CLUSTER", "GIVE", target, *range(int(first), int(last) + 1)))


@STEPS.form("write to every shard")
def write_everywhere(stage: Stage) -> None:
    """Every primary must take a write to a slot of its own, soon."""
    for name, node in stage.nodes.all_serving().items():
        if node.cluster is None or not node.cluster.me.slots or not node.cluster.me.is_primary:
            continue
        slots = node.cluster.view.me.slots
        key = next(key for key in map(str, range(1 << 20)) if slots >> slot_of_key(key.encode()) & 1)
        for _ in range(20):
            if (answer := stage.ask(name, "SET", f"{{{key}}}last", "1")) in ("OK", b"OK"):
                break
            stage.pass_until(stage.world.now + 0.5)
        else:
            raise Unmet(f"{name} takes no write: {shown(answer)}")


# ---- links ----


@STEPS.form("cut {one:END} from {other:END}")
def cut(stage: Stage, one: str, other: str) -> None:
    """Drop in silence what two hosts send each other."""
    stage.world.cut(one, other)


@STEPS.form("cut {one:END} to {other:END}")
def cut_one_way(stage: Stage, one: str, other: str) -> None:
    """Drop in silence what one host sends to the other."""
    stage.world.cut(one, other, one_way=True)


@STEPS.form("partition {side:ENDS} from {rest:ENDS}")
def partition(stage: Stage, side: str, rest: str) -> None:
    """Cut every host of one side from every host of the other."""
    stage.world.partition(side.split(", "), rest.split(", "))


@STEPS.form("heal all")
def heal_all(stage: Stage) -> None:
    """Heal every cut."""
    stage.world.heal_all()


@STEPS.form("heal {one:END} with {other:END}")
def heal(stage: Stage, one: str, other: str) -> None:
    """Let packets pass between two hosts again."""
    stage.world.heal(one, other)


@STEPS.form("reset {one:END} and {other:END}")
def reset(stage: Stage, one: str, other: str) -> None:
    """Reset all connections between two hosts."""
    stage.world.reset(one, other)


@STEPS.form("break {one:END} to {other:END} after {count:COUNT} bytes")
def break_after(stage: Stage, one: str, other: str, count: str) -> None:
    """Reset the connection that carries this byte from one host to the other, counted from now."""
    stage.world.break_after(one, other, int(positive(count, "a byte's number")))


@STEPS.form("half-open {one:END} and {other:END}")
def half_open(stage: Stage, one: str, other: str) -> None:
    """Let present connections of two hosts carry nothing any more."""
    stage.world.half_open(one, other)


@STEPS.form("link {one:END} and {other:END} takes {time:TIME}[ at {rate:COUNT} bytes a second]")
def link(stage: Stage, one: str, other: str, time: str, rate: str = "0") -> None:
    """Make a link slow."""
    stage.world.set_link(one, other, latency=seconds(time), bytes_per_second=float(rate))


# ---- processes and machines ----


@STEPS.form("pause {name:PROCESS}")
def pause(stage: Stage, name: str) -> None:
    """Stop a process; its sockets stay open."""
    stage.world.pause(name)


@STEPS.form("resume {name:PROCESS}")
def resume(stage: Stage, name: str) -> None:
    """Let a paused process go on."""
    stage.world.resume(name)


@STEPS.form("kill {name:PROCESS}")
def kill(stage: Stage, name: str) -> None:
    """End a process at once."""
    stage.kill(name)


@STEPS.form("restart {name:PROCESS}")
def restart(stage: Stage, name: str) -> None:
    """Kill a process if it runs, and start it again."""
    if not stage.world.processes[name].host.interface.down:
        stage.kill(name)
    stage.start_again(name)


@STEPS.form("power-loss {name:HOST}[ at disk operation {count:COUNT}]")
def power_loss(stage: Stage, name: str, count: str = "0") -> None:
    """Switch a machine off, now or in place of the count-th change of its disk: it keeps what is durable."""
    if count == "0":
        stage.power_loss(name)
    else:
        stage.world.power_loss_in(name, int(count))


@STEPS.form("power-on {name:PROCESS}")
def power_on(stage: Stage, name: str) -> None:
    """Switch a machine on, and start what ran on it."""
    stage.start_again(name)


@STEPS.form("fill-disk {name:HOST}[ but {free:COUNT} bytes]")
def fill_disk(stage: Stage, name: str, free: str = "0") -> None:
    """Leave a disk no room."""
    stage.world.fill_disk(name, free_bytes=int(free))


@STEPS.form("free-disk {name:HOST}")
def free_disk(stage: Stage, name: str) -> None:
    """Give a disk room again."""
    stage.world.fill_disk(name, free_bytes=None)


@STEPS.form("slow-disk {name:HOST} by {time:TIME}")
def slow_disk(stage: Stage, name: str, time: str) -> None:
    """Let each sync take so long."""
    stage.world.slow_disk(name, seconds(time))


@STEPS.form("fail-syncs {name:HOST}")
def fail_syncs(stage: Stage, name: str) -> None:
    """Let each sync of a disk fail."""
    stage.world.fail_syncs(name)


@STEPS.form("jump {name:HOST} by {amount:NUMBER} s")
def jump(stage: Stage, name: str, amount: str) -> None:
    """Move a machine's wall clock."""
    stage.world.jump(name, float(amount))


@STEPS.form("drift {name:HOST} at {rate:NUMBER}")
def drift(stage: Stage, name: str, rate: str) -> None:
    """Let a machine's clocks run faster or slower."""
    stage.world.drift(name, positive(rate, "a clock's rate"))


# ---- orders ----


@STEPS.form("fence {name:NODE} in epoch {epoch:COUNT}")
def fence(stage: Stage, name: str, epoch: str) -> str:
    """Let a leader fence a node; its report is printed."""
    words = stage.ask(name, "HOLDFAST", "FENCE", epoch, "leader")
    if not isinstance(words, list):
        return shown(words)
    report = read_report([word.decode() for word in words])
    intact = "intact" if report.intact else "not intact"
    return f"position {report.position.epoch}:{report.position.offset}, {intact}"


@STEPS.form("promote {name:NODE} in epoch {epoch:COUNT}")
def promote(stage: Stage, name: str, epoch: str) -> str:
    """Let a leader promote a node where it stands."""
    position = stage.nodes.latest[name].replication.standing.position
    return shown(stage.ask(name, "HOLDFAST", "PROMOTE", epoch, "leader", *position))


@STEPS.form("order {name:NODE} to follow {other:NODE} in epoch {epoch:COUNT}")
def follow(stage: Stage, name: str, other: str, epoch: str) -> str:
    """Let a leader attach a node to another."""
    node_id = stage.nodes.latest[other].replication.standing.node_id
    return shown(stage.ask(name, "HOLDFAST", "FOLLOW", epoch, "leader", other, PORT, node_id))


@STEPS.form("fail over among {names:NODES} in epoch {epoch:COUNT}")
def fail_over(stage: Stage, names: str, epoch: str) -> str:
    """Let a leader fence these nodes, choose by the rules, promote, and let the others follow."""
    stage.epochs.last = max(stage.epochs.last, int(epoch))
    known = {node.replication.standing.node_id: name for name, node in stage.nodes.latest.items()}
    for _ in range(5):
        reports = []
        for name in names.split(", "):
            words = stage.ask(name, "HOLDFAST", "FENCE", epoch, "leader")
            if isinstance(words, list):
                reports.append(read_report([word.decode() for word in words]))
        choice = choose_promotion(int(epoch), "leader", reports, set(known))
        if isinstance(choice, Promote):
            chosen = known[choice.node_id]
            loss = ("LOSS",) if choice.may_lose_writes else ()
            answer = stage.ask(chosen, "HOLDFAST", "PROMOTE", epoch, "leader", *choice.position, *loss)
            if answer not in ("OK", b"OK"):
                return f"{chosen} answers {shown(answer)}"
            for name in names.split(", "):
                if name != chosen:
                    follow(stage, name, chosen, epoch)
            stage.history.primary = chosen
            return f"{chosen} leads" + (f", {choice.reason}" if choice.may_lose_writes else "")
        if not isinstance(choice, FetchFirst):
            missing = ", ".join(sorted(known.get(each, each) for each in choice.missing))
            return f"nobody may lead: {choice.reason}" + (f"; missing: {missing}" if missing else "")
        source = known[choice.source]
        words = (epoch, "leader", source, PORT, choice.source, *choice.position)
        stage.ask(known[choice.node_id], "HOLDFAST", "FETCH", *words)
        stage.world.run(0.5)
    return "the tail could not be fetched"


@STEPS.form("replicaof {name:NODE} {other:WORD}")
def replicaof(stage: Stage, name: str, other: str) -> str:
    """Send REPLICAOF by hand (`none`: NO ONE)."""
    if other != "none" and other not in stage.world.hosts:
        raise ScenarioError(f"there is no {other!r}: there are {', '.join(stage.world.hosts)}")
    words = ("NO", "ONE") if other == "none" else (other, PORT)
    return shown(stage.ask(name, "REPLICAOF", *words))


# ---- time and expectations ----


@STEPS.form("at {time:TIME} {rest:TEXT}")
def at(stage: Stage, time: str, rest: str) -> str | None:
    """Let time pass until this moment of the world, then do a step, late if the moment is over."""
    late = stage.world.now - seconds(time)
    stage.pass_until(seconds(time))
    said = do(stage, rest)
    return "; ".join(filter(None, (said, f"{late:.2f} s late" if late > LATE_SECONDS else "")))


@STEPS.form("wait {time:TIME}")
def wait(stage: Stage, time: str) -> None:
    """Let time pass."""
    stage.pass_until(stage.world.now + seconds(time))


@STEPS.form("wait until {text:TEXT} within {time:TIME}")
def wait_until(stage: Stage, text: str, time: str) -> str:
    """Let time pass until a condition holds."""
    holds = condition(stage, text)
    began = stage.world.now
    if not stage.await_true(holds, seconds(time)):
        why = f" ({stage.checks.difference()})" if text == "convergence" else ""
        raise Unmet(f"{text}: not within {time}{why}")
    return f"after {stage.world.now - began:.2f} s"


@STEPS.form("expect {text:TEXT}")
def expect(stage: Stage, text: str) -> str:
    """Fail unless a condition holds."""
    if not condition(stage, text)():
        why = f": the answer was {shown(stage.answer)}" if text.startswith("the answer") else ""
        raise Unmet(f"{text}: it is not so{why}")
    return "it is so"


@STEPS.form("say {text:TEXT}")
def say(stage: Stage, text: str) -> None:
    """Print words; nothing happens."""


@STEPS.form("mend everything")
def mend(stage: Stage) -> None:
    """End every fault and start what has ended."""
    stage.mend()


@STEPS.form("judge")
def judge(stage: Stage) -> str:
    """Let the judges look at the whole history."""
    difference = stage.checks.difference()
    stage.checks.watch()
    stage.checks.judge(is_converged=not difference)
    stage.raise_if_broken()
    acknowledged = len(stage.history.acknowledged("write", "pair", "set", "incr"))
    return f"{acknowledged} acknowledged writes, {len(stage.history.promotions)} promotions, no objection"


def do(stage: Stage, line: str) -> str | None:
    """Do one step. Raises `ScenarioError`, `Unmet`, `Broken`."""
    form, places = STEPS.match(line)
    given = {name: value for name, value in places.items() if value is not None}
    check(stage, form, given)
    return form.act(stage, **given)


__all__ = ["STEPS", "do"]
