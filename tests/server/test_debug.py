"""DEBUG: what its doors change inside, seen where a client could see it."""

from __future__ import annotations

from tests.server.running import serve
from tests.wire import Group, WireClient


def test_an_element_stands_alone_from_the_packed_threshold_on_also_in_lists_that_are_there() -> None:
    options = {"list_max_listpack_size": 2, "enable_debug_command": "yes"}
    with serve(**options) as server, WireClient(server.port) as client:
        client.command(b"RPUSH", b"l", b"a", b"b", b"c")
        assert client.command(b"DEBUG", b"QUICKLIST", b"l") == b"+2 nodes, 3 elements\r\n"
        assert client.command(b"DEBUG", b"QUICKLIST-PACKED-THRESHOLD", b"5") == b"+OK\r\n"
        client.command(b"RPUSH", b"l", b"large", b"tiny", b"larger")
        assert client.command(b"DEBUG", b"QUICKLIST", b"l") == b"+5 nodes, 6 elements\r\n"
        client.command(b"LSET", b"l", b"0", b"larger than before")
        assert client.command(b"DEBUG", b"QUICKLIST", b"l") == b"+5 nodes, 6 elements\r\n"
        whole = client.value(b"LRANGE", b"l", b"0", b"-1")
        assert isinstance(whole, Group)
        assert whole.items == (b"larger than before", b"b", b"c", b"large", b"tiny", b"larger")
        digest = client.value(b"DEBUG", b"DIGEST-VALUE", b"l")
        assert client.command(b"DEBUG", b"QUICKLIST-PACKED-THRESHOLD", b"0") == b"+OK\r\n"
        payload = client.value(b"DUMP", b"l")
        assert isinstance(payload, bytes)
        assert client.command(b"RESTORE", b"again", b"0", payload) == b"+OK\r\n"
        assert client.value(b"DEBUG", b"DIGEST-VALUE", b"again") == digest
        client.command(b"RPUSH", b"l", b"large", b"small")
        assert client.command(b"DEBUG", b"QUICKLIST", b"l") == b"+6 nodes, 8 elements\r\n"
