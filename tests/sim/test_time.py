"""Virtual time: free, exact, and each host's own."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from holdfast.server.host import Host
from holdfast.sim import NothingLeft, World
from holdfast.sim.world import Unmet


def test_a_year_of_idle_time_costs_nothing(world: World) -> None:
    started = time.perf_counter()
    world.run(asyncio.sleep(365 * 86400))
    assert world.now == pytest.approx(365 * 86400)
    assert time.perf_counter() - started < 1


def test_timers_fire_in_order_of_time_then_of_creation(world: World) -> None:
    fired: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(2, fired.append, "late")
        loop.call_later(1, fired.append, "first")
        loop.call_later(1, fired.append, "second")
        loop.call_later(1, fired.append, "cancelled").cancel()
        loop.call_soon(fired.append, "soon")
        await asyncio.sleep(3)

    world.run(main())
    assert fired == ["soon", "first", "second", "late"]


def test_many_cancelled_timers_do_not_disturb_the_others(world: World) -> None:
    fired: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(1 + number, fired.append, number) for number in range(2000)]
        for number, timer in enumerate(timers):
            if number % 500:
                timer.cancel()
        await asyncio.sleep(3000)

    world.run(main())
    assert fired == [0, 500, 1000, 1500]


def test_waiting_for_what_cannot_happen_is_a_deadlock(world: World) -> None:
    with pytest.raises(NothingLeft):
        world.run(asyncio.Event().wait())


def test_a_program_that_spins_does_not_stop_the_world(world: World) -> None:
    async def main() -> int:
        loop, rounds = asyncio.get_running_loop(), 0
        while loop.time() < 0.01:
            await asyncio.sleep(0)
            rounds += 1
        return rounds

    assert world.run(main()) > 100


def test_a_timeout_ends_a_wait_at_its_moment(world: World) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()

    world.run(main())
    assert world.now == pytest.approx(5)


def test_the_executor_works_at_the_same_instant(world: World) -> None:
    assert world.run(asyncio.to_thread(sum, [1, 2, 3])) == 6
    assert world.now == 0


def test_waiting_for_several_tasks_gives_them_in_the_same_order_each_time() -> None:
    def order() -> list[str]:
        with World(7) as world:

            async def main() -> list[str]:
                tasks = {asyncio.create_task(asyncio.sleep(1), name=f"t{n}") for n in range(20)}
                done, _ = await asyncio.wait(tasks)
                return [task.get_name() for task in done]

            return world.run(main())

    assert order() == order()


def test_a_drifting_clock_shows_and_waits_its_own_seconds(world: World) -> None:
    shown: list[int] = []

    async def main(host: Host) -> None:
        before = host.clock.boot_us()
        await asyncio.sleep(10)
        shown.append(host.clock.boot_us() - before)

    world.host("a")
    world.drift("a", 1.1)
    world.start("a", main)
    world.run(9.0)
    assert shown == []
    world.run(0.2)
    assert shown[0] == pytest.approx(10_000_000, abs=10)
    assert not world.process("a").running


def test_a_wall_clock_jumps_and_the_boot_clock_does_not(world: World) -> None:
    clock = world.host("a").clock
    wall, boot = clock.wall_us(), clock.boot_us()
    world.run(1)
    world.jump("a", -3600)
    assert clock.wall_us() - wall == -3_599_000_000
    assert clock.boot_us() - boot == 1_000_000


def test_waiting_until_something_holds_stops_soon_after_and_has_an_end(world: World) -> None:
    assert world.run_until(lambda: world.now >= 3, within=10) == pytest.approx(3, abs=0.02)
    with pytest.raises(Unmet, match="rain did not hold within 5 s"):
        world.run_until(lambda: False, within=5, what="rain")
    assert world.now == pytest.approx(8, abs=0.02)


def test_luck_of_the_random_module_is_the_worlds_inside_and_untouched_outside() -> None:
    async def draw() -> float:
        return random.random()

    before = random.getstate()
    with World(3) as one, World(3) as same, World(4) as other:
        assert one.run(draw()) == same.run(draw()) != other.run(draw())
    assert random.getstate() == before
