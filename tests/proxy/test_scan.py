"""The end of a reply is found however the bytes come."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from holdfast.proxy.scan import cut_replies

lines = some.sampled_from(
    [
        b"+OK\r\n",
        b"-ERR no\r\n",
        b":12\r\n",
        b"_\r\n",
        b"#t\r\n",
        b",1.5\r\n",
        b"(99\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
    ]
)
bulks = some.binary(max_size=30).map(lambda text: b"$%d\r\n%s\r\n" % (len(text), text))
verbatim = some.binary(max_size=9).map(lambda text: b"=%d\r\ntxt:%s\r\n" % (len(text) + 4, text))
values = some.recursive(
    some.one_of(lines, bulks, verbatim),
    lambda inner: some.one_of(
        some.lists(inner, max_size=4).map(lambda items: b"*%d\r\n" % len(items) + b"".join(items)),
        some.lists(inner, max_size=4).map(lambda items: b"~%d\r\n" % len(items) + b"".join(items)),
        some.lists(some.tuples(inner, inner), max_size=3).map(
            lambda pairs: b"%%%d\r\n" % len(pairs) + b"".join(one + other for one, other in pairs)
        ),
        some.tuples(inner, inner, inner).map(lambda three: b"|1\r\n" + b"".join(three)),
    ),
    max_leaves=8,
)


@given(some.lists(values, max_size=6), some.lists(some.integers(0, 200), max_size=8))
def test_replies_are_cut_alike_wherever_the_stream_is_cut(replies: list[bytes], places: list[int]) -> None:
    stream = b"".join(replies)
    cuts = sorted({0, len(stream), *(place for place in places if place < len(stream))})
    chunks = [stream[start:end] for start, end in pairwise(cuts)]
    assert cut_replies(chunks) == replies
    assert cut_replies([stream[place : place + 1] for place in range(len(stream))]) == replies


@pytest.mark.parametrize("text", [b"hello\r\n", b"$x\r\n", b"*1\r\nfoo\r\n", b"$99999999999999\r\n"])
def test_what_is_no_reply_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="not a reply"):
        cut_replies([text])
