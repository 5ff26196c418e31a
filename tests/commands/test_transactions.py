"""MULTI, EXEC and WATCH as clients see them."""

from __future__ import annotations

from tests.commands.conftest import Connect
from tests.wire import Failure, Group, Null, Simple


def test_queued_commands_run_together_and_an_error_stops_none_of_them(connect: Connect) -> None:
    client = connect()
    assert client.value("MULTI") == Simple("+", b"OK")
    client.value("SET", "t:k", "v")
    client.value("INCR", "t:k")
    client.value("SET", "t:after", "yes")
    reply = client.value("EXEC")
    assert isinstance(reply, Group) and reply.items is not None
    assert [type(item) for item in reply.items] == [Simple, Failure, Simple]
    assert client.value("GET", "t:after") == b"yes"


def test_refused_command_in_the_queue_makes_exec_abort(connect: Connect) -> None:
    client = connect()
    client.value("MULTI")
    client.value("SET", "t:aborted", "v")
    client.value("GET")
    assert client.value("EXEC") == Failure(b"EXECABORT Transaction discarded because of previous errors.")
    assert client.value("GET", "t:aborted") == Null("$")


def test_change_by_another_client_lets_exec_answer_null(connect: Connect) -> None:
    client, other = connect(), connect()
    client.value("WATCH", "t:w")
    other.value("SET", "t:w", "theirs")
    client.value("MULTI")
    client.value("SET", "t:w", "mine")
    assert client.command(b"EXEC") == b"*-1\r\n"
    assert other.value("GET", "t:w") == b"theirs"


def test_watched_key_that_expires_lets_exec_answer_null(connect: Connect) -> None:
    client, other = connect(), connect()
    client.value("SET", "t:e", "v", "PX", "100")
    client.value("WATCH", "t:e")
    client.value("SET", "t:later", "v", "PX", "100")
    client.value("MULTI")
    client.value("PING")
    while other.value("GET", "t:later") == b"v":
        pass
    assert client.command(b"EXEC") == b"*-1\r\n"


def test_unwatch_and_discard_forget_the_change(connect: Connect) -> None:
    client, other = connect(), connect()
    client.value("WATCH", "t:u")
    other.value("SET", "t:u", "1")
    client.value("UNWATCH")
    client.value("MULTI")
    client.value("PING")
    assert client.command(b"EXEC") == b"*1\r\n+PONG\r\n"
