"""Publish and subscribe as clients see them."""

from __future__ import annotations

from tests.commands.conftest import Connect


def test_message_reaches_channel_and_pattern_subscribers_alike(connect: Connect) -> None:
    by_channel, by_pattern, sender = connect(), connect(), connect()
    by_channel.value("SUBSCRIBE", "news")
    by_pattern.value("PSUBSCRIBE", "n?ws")
    assert sender.value("PUBLISH", "news", "x") == 2
    assert by_channel.read() == b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nx\r\n"
    assert by_pattern.read() == b"*4\r\n$8\r\npmessage\r\n$4\r\nn?ws\r\n$4\r\nnews\r\n$1\r\nx\r\n"


def test_messages_of_a_transaction_and_of_a_script_arrive_in_order(connect: Connect) -> None:
    listener, sender = connect(), connect()
    listener.value("SUBSCRIBE", "order")
    sender.value("MULTI")
    sender.value("PUBLISH", "order", "1")
    sender.value("PUBLISH", "order", "2")
    sender.value("EXEC")
    sender.value("EVAL", "redis.call('publish', 'order', '3')", "0")
    assert [listener.read()[-3:-2] for _ in range(3)] == [b"1", b"2", b"3"]


def test_subscriber_that_leaves_is_forgotten(connect: Connect) -> None:
    listener, sender = connect(), connect()
    listener.value("SUBSCRIBE", "gone")
    assert sender.value("PUBLISH", "gone", "x") == 1
    listener.command(b"QUIT")
    while sender.value("PUBLISH", "gone", "x"):
        pass
    assert sender.command(b"PUBSUB", b"CHANNELS", b"gone") == b"*0\r\n"


def test_subscribed_client_in_resp2_may_not_read_keys(connect: Connect) -> None:
    client = connect()
    client.value("SSUBSCRIBE", "s")
    assert client.command(b"GET", b"k").startswith(b"-ERR Can't execute 'get': only (P|S)SUBSCRIBE")
    assert client.command(b"SUNSUBSCRIBE") == b"*3\r\n$12\r\nsunsubscribe\r\n$1\r\ns\r\n:0\r\n"
    assert client.command(b"GET", b"nothing here") == b"$-1\r\n"
