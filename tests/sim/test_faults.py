"""Cuts, resets, and processes that die, stop and return."""

from __future__ import annotations

import asyncio
import gc

import pytest

from holdfast.server.host import Host
from holdfast.sim import World
from tests.sim.programs import PORT, echo


class Line:
    """The driver's connection to an echo."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.reader, self.writer = world.run(asyncio.open_connection("a", PORT))
        world.run(0.1)

    def send(self, line: bytes) -> None:
        self.writer.write(line)

    def receive(self, within: float) -> bytes | None:
        async def main() -> bytes | None:
            try:
                async with asyncio.timeout(within):
                    return await self.reader.readline()
            except TimeoutError:
                return None

        return self.world.run(main())


@pytest.mark.parametrize(("source", "target"), [("driver", "a"), ("a", "driver"), (None, None)])
def test_a_cut_holds_bytes_back_until_it_heals(world: World, source: str | None, target: str) -> None:
    world.start("a", echo)
    line = Line(world)
    if source is None:
        world.cut("driver", "a")
    else:
        world.cut(source, target, one_way=True)
    line.send(b"hello\n")
    assert line.receive(10) is None
    world.heal("driver", "a")
    assert line.receive(15) == b"hello\n"


def test_a_one_way_cut_lets_the_other_way_pass(world: World) -> None:
    got: list[bytes] = []

    async def main(host: Host) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            got.append(await reader.readline())

        await (await asyncio.start_server(serve, port=PORT)).serve_forever()

    world.start("a", main)
    line = Line(world)
    world.cut("a", "driver", one_way=True)
    line.send(b"still heard\n")
    world.run(0.1)
    assert got == [b"still heard\n"]


def test_connecting_hangs_while_cut_and_goes_on_after(world: World) -> None:
    world.start("a", echo)
    world.cut("a", "driver", one_way=True)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(20):
                await asyncio.open_connection("a", PORT)
        attempt = asyncio.create_task(asyncio.open_connection("a", PORT))
        await asyncio.sleep(5)
        world.heal("a", "driver")
        await attempt

    world.run(main())
    assert 25 < world.now < 28


def test_connecting_gives_up_after_two_minutes(world: World) -> None:
    world.host("a")
    world.cut("driver", "a")
    with pytest.raises(TimeoutError):
        world.run(asyncio.open_connection("a", PORT))
    assert world.now == pytest.approx(127)


def test_a_connection_is_given_up_after_a_quarter_of_an_hour_without_answer(world: World) -> None:
    world.start("a", echo)
    line = Line(world)
    world.cut("driver", "a")
    line.send(b"hello\n")
    with pytest.raises(TimeoutError):
        world.run(line.reader.readline())
    assert 900 < world.now < 950


def test_a_half_open_connection_is_dead_for_good_while_new_ones_work(world: World) -> None:
    world.start("a", echo)
    line = Line(world)
    world.half_open("driver", "a")
    line.send(b"hello\n")
    again = Line(world)
    again.send(b"hello\n")
    assert again.receive(1) == b"hello\n"
    world.heal_all()
    assert line.receive(600) is None
    with pytest.raises(TimeoutError):
        world.run(line.reader.readline())


def test_loss_delays_and_loses_nothing(world: World) -> None:
    world.start("a", echo)
    line = Line(world)
    world.set_link("driver", "a", loss=0.5)
    started = world.now
    for number in range(50):
        line.send(b"%d\n" % number)
        assert line.receive(10) == b"%d\n" % number
    assert world.now - started > 5


def test_a_reset_is_seen_by_both_ends(world: World) -> None:
    seen: list[OSError] = []

    async def main(host: Host) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.readline()
            except OSError as error:
                seen.append(error)

        await (await asyncio.start_server(serve, "0.0.0.0", PORT)).serve_forever()

    world.start("a", main)
    line = Line(world)
    world.reset("driver", "a")
    with pytest.raises(ConnectionResetError):
        line.receive(1)
    assert [type(error) for error in seen] == [ConnectionResetError]


def test_a_killed_process_runs_nothing_more_and_its_peers_see_the_end(world: World) -> None:
    ran: list[str] = []

    async def main(host: Host) -> None:
        try:
            await echo(host)
        finally:
            ran.append("finally")

    async def timer(host: Host) -> None:
        await asyncio.sleep(1)
        ran.append("timer")

    world.start("a", main)
    world.start("a", timer, name="a/timer")
    line = Line(world)
    world.kill("a")
    world.kill("a/timer")
    assert line.receive(1) == b""
    world.run(10)
    assert ran == []
    with pytest.raises(ConnectionRefusedError):
        Line(world)


def test_the_collector_does_not_run_the_code_of_the_dead(world: World) -> None:
    ran: list[str] = []

    async def main(host: Host) -> None:
        async def abandoned() -> None:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ran.append("finally")

        asyncio.create_task(abandoned())  # noqa: RUF006 (the loop keeps it)
        await asyncio.sleep(3600)

    world.start("a", main)
    world.run(1)
    gc.collect()
    world.kill("a")
    world.start("a")
    world.run(1)
    gc.collect()
    assert ran == []


def test_what_a_process_writes_after_a_blocking_sync_is_not_sent_if_it_dies_meanwhile(world: World) -> None:
    async def main(host: Host) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            host.disk.open("f", "wb").sync()
            writer.write(b"synced\n")

        await (await asyncio.start_server(serve, port=PORT)).serve_forever()

    world.start("a", main)
    world.slow_disk("a", 2)
    line = Line(world)
    line.send(b"go\n")
    world.run(1)
    world.kill("a")
    assert line.receive(10) == b""


def test_an_address_can_move_to_another_host(world: World) -> None:
    world.start("a", echo)
    world.start("b", echo)
    world.move_address("10.0.9.9", "a")
    world.kill("a")

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("10.0.9.9", PORT)
        writer.write(b"hello\n")
        return await reader.readline()

    with pytest.raises(ConnectionRefusedError):
        world.run(ask())
    world.move_address("10.0.9.9", "b")
    assert world.run(ask()) == b"hello\n"


def test_an_exit_inside_a_callback_ends_that_process_only(world: World) -> None:
    class Exits(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            raise SystemExit(3)

    async def main(host: Host) -> None:
        await (await asyncio.get_running_loop().create_server(Exits, port=PORT)).serve_forever()

    process = world.start("a", main)
    line = Line(world)
    line.send(b"x")
    assert line.receive(1) == b""
    assert isinstance(process.outcome, SystemExit)


def test_a_peer_that_writes_to_a_dead_process_is_reset(world: World) -> None:
    world.start("a", echo)
    line = Line(world)
    world.kill("a")
    assert line.receive(1) == b""
    line.send(b"anyone?\n")
    world.run(1)
    with pytest.raises(ConnectionResetError):
        world.run(line.writer.drain())


def test_a_paused_process_keeps_its_connections_and_catches_up(world: World) -> None:
    beats: list[float] = []

    async def main(host: Host) -> None:
        async def beat() -> None:
            while True:
                await asyncio.sleep(1)
                beats.append(world.now)

        asyncio.create_task(beat())  # noqa: RUF006 (the loop keeps it)
        await echo(host)

    world.start("a", main)
    line = Line(world)
    world.pause("a")
    line.send(b"one\n")
    late = Line(world)
    late.send(b"two\n")
    assert line.receive(20) is None
    assert beats == []
    world.resume("a")
    assert line.receive(1) == b"one\n"
    assert late.receive(1) == b"two\n"
    assert len(beats) == 1
    assert beats[0] == pytest.approx(20, abs=0.5)


def test_arrived_bytes_are_seen_before_timers_that_became_due_in_a_pause(world: World) -> None:
    seen: list[str] = []

    class Seen(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            seen.append(data.decode())

    async def main(host: Host) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_server(Seen, port=PORT)
        loop.call_later(5, seen.append, "timer")
        await asyncio.Event().wait()

    world.start("a", main)
    line = Line(world)
    world.pause("a")
    world.run(10)
    line.send(b"bytes")
    world.run(1)
    world.resume("a")
    world.run(1)
    assert seen == ["bytes", "timer"]


def test_a_full_backlog_makes_further_clients_hang(world: World) -> None:
    async def main(host: Host) -> None:
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, port=PORT, backlog=1)
        await server.serve_forever()

    world.start("a", main)
    world.run(0.1)
    world.pause("a")
    Line(world)
    Line(world)
    with pytest.raises(TimeoutError):
        world.run(asyncio.wait_for(asyncio.open_connection("a", PORT), 5))
    world.resume("a")
    Line(world)


def test_a_restarted_process_begins_anew_with_other_luck(world: World) -> None:
    seen: list[tuple[int, float]] = []

    async def main(host: Host) -> None:
        seen.append((host.pid, host.random.random()))
        await echo(host)

    world.start("a", main)
    line = Line(world)
    world.restart("a")
    assert line.receive(1) == b""
    again = Line(world)
    again.send(b"back\n")
    assert again.receive(1) == b"back\n"
    assert seen[0] != seen[1]


def test_power_loss_tells_nobody_and_a_late_write_is_reset(world: World) -> None:
    world.start("a", echo)
    line = Line(world)
    world.power_loss("a")
    assert line.receive(60) is None
    world.power_on("a")
    assert line.receive(60) is None
    line.send(b"anyone?\n")
    with pytest.raises(ConnectionResetError):
        line.receive(5)
    again = Line(world)
    again.send(b"yes\n")
    assert again.receive(1) == b"yes\n"


def test_a_signal_reaches_its_handler_and_main_ends(world: World) -> None:
    async def main(host: Host) -> str:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(15, stop.set)
        await stop.wait()
        return "clean"

    process = world.start("a", main)
    world.run(1)
    world.terminate("a")
    assert world.run(process.wait()) == "clean"


def test_an_uncaught_exception_is_in_the_log() -> None:
    async def main(host: Host) -> None:
        raise LookupError("gone")

    with World(1) as world:
        process = world.start("a", main)
        world.run(1)
        assert isinstance(process.outcome, LookupError)
        assert [type(error) for _, _, error in world.errors] == [LookupError]
        assert any(line.endswith("a error: LookupError") for line in world.log)


def test_a_task_that_failed_unseen_can_be_found() -> None:
    async def main(host: Host) -> None:
        async def fails() -> None:
            raise LookupError("gone")

        asyncio.create_task(fails())  # noqa: RUF006 (the loop keeps it)
        await asyncio.Event().wait()

    with World(1) as world:
        world.start("a", main)
        world.run(1)
        assert [(name, type(error)) for name, error in world.failed_tasks()] == [("a", LookupError)]


def test_the_loopback_and_several_processes_share_a_host(world: World) -> None:
    async def client(host: Host) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        writer.write(b"near\n")
        return await reader.readline()

    world.start("a", echo)
    world.run(0.1)
    process = world.start("a", client, name="a/client")
    assert world.run(process.wait()) == b"near\n"


def test_what_the_collector_finds_unclosed_is_no_event_of_a_world(world: World) -> None:
    class Client:
        def __del__(self) -> None:
            asyncio.get_running_loop().call_exception_handler({"client": self, "message": "Unclosed client"})

    async def forget() -> None:
        client = Client()
        del client

    before = world.log_bytes()
    world.run(forget())
    assert world.log_bytes() == before
