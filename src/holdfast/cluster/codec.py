"""The bytes of the cluster bus: signature RCmb, version 1, as Redis 7.0 and 7.2 write them.

What it is: `encode` turns a message into bytes, `Reader` turns a stream of bytes back into
messages. What it is not: the meaning of anything.

Garbage harms nothing. What cannot be this bus (signature, a length that no such message
can have) is `BrokenBus`: the connection ends. A whole message whose inner lengths do not
fit, of another version or of an unknown type, is passed over and counted, as Redis does.
Text from outside is checked before it can reach nodes.conf or a reply.

How to read it: the layouts, `encode`, then `Reader.feed` and `_decode`.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

from holdfast.cluster import messages
from holdfast.cluster.messages import Extensions, Gossip, Message
from holdfast.cluster.slots import from_bitmap, to_bitmap

SIGNATURE: Final = b"RCmb"
VERSION: Final = 1
_TOP: Final = struct.Struct(">4sIHHHHQQq40s")
"""signature, length, version, port, type, count, epoch, config epoch, offset, sender"""
_REST: Final = struct.Struct(">40s46sH30sHHHB3s")
"""primary, ip, extensions, reserved, second port, bus port, flags, state, message flags"""
_GOSSIP: Final = struct.Struct(">40sII46sHHHHH")
_EXTENSION: Final = struct.Struct(">IHH")
_FORGOTTEN: Final = struct.Struct(">40sQ")
_PUBLISH: Final = struct.Struct(">II")
_UPDATE: Final = struct.Struct(">Q40s2048s")
_SLOTS_AT: Final = _TOP.size
_REST_AT: Final = _SLOTS_AT + 2048
HEADER_BYTES: Final = _REST_AT + _REST.size
assert HEADER_BYTES == 2256 and _GOSSIP.size == 104

_NO_ID: Final = bytes(40)
_OURS: Final = b"Hf"
"""At the end of the reserved bytes."""
_RESERVED: Final = bytes(28) + _OURS
PUBLISH_MAX_BYTES: Final = (1 << 30) + HEADER_BYTES + _PUBLISH.size
PING_MAX_BYTES: Final = HEADER_BYTES + 65535 * _GOSSIP.size + (1 << 20)
_SHORT_MAX_BYTES: Final = HEADER_BYTES + _UPDATE.size

_EXT_HOSTNAME: Final = 0
_EXT_HUMAN_NAME: Final = 1
_EXT_FORGOTTEN: Final = 2
_EXT_SHARD_ID: Final = 3

_HEX: Final = frozenset("0123456789abcdef")
_HOST_CHARACTERS: Final = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:-_%")
_FORBIDDEN_IN_NAMES: Final = frozenset("!#$%&()*+:;<>?@[]^{|}~,= \t\"'\\")


class BrokenBus(ValueError):
    """These bytes are not of this bus."""


# ---- out ----


def encode(message: Message) -> bytes:
    """Return the bytes of a message."""
    body, count, extensions = _body(message)
    host = message.host.encode("latin-1", "replace")[:45]
    top = _TOP.pack(
        SIGNATURE,
        HEADER_BYTES + len(body),
        VERSION,
        message.port,
        message.type,
        count,
        message.epoch,
        message.config_epoch,
        message.offset,
        message.sender.encode(),
    )
    rest = _REST.pack(
        message.primary_id.encode(),
        host,
        extensions,
        _RESERVED if message.is_ours else b"",
        message.tls_port,
        message.bus_port,
        message.flags & 0xFFFF,
        0 if message.is_ok else 1,
        bytes((message.message_flags, 0, 0)),
    )
    return b"".join((top, to_bitmap(message.slots), rest, body))


def _body(message: Message) -> tuple[bytes, int, int]:
    """Return body, number of gossip entries and number of extensions."""
    if message.is_ping:
        parts = [
            _GOSSIP.pack(
                each.node_id.encode(),
                each.ping_sent_s & 0xFFFFFFFF,
                each.pong_received_s & 0xFFFFFFFF,
                each.host.encode("latin-1", "replace")[:45],
                each.port,
                each.bus_port,
                each.flags & 0xFFFF,
                each.tls_port,
                0,
            )
            for each in message.gossip
        ]
        extensions = _extensions(message.extensions)
        return b"".join(parts + extensions), len(parts), len(extensions)
    match message.type:
        case messages.FAIL:
            return message.about.encode(), 0, 0
        case messages.UPDATE:
            bitmap = to_bitmap(message.about_slots)
            return _UPDATE.pack(message.about_epoch, message.about.encode(), bitmap), 0, 0
        case messages.PUBLISH | messages.PUBLISHSHARD:
            lengths = _PUBLISH.pack(len(message.channel), len(message.text))
            return lengths + message.channel + message.text, 0, 0
    return b"", 0, 0


def _extensions(extensions: Extensions) -> list[bytes]:
    parts = []
    if extensions.hostname:
        parts.append(_extension(_EXT_HOSTNAME, extensions.hostname.encode() + b"\0"))
    if extensions.human_name:
        parts.append(_extension(_EXT_HUMAN_NAME, extensions.human_name.encode() + b"\0"))
    for node_id, seconds in extensions.forgotten:
        parts.append(_extension(_EXT_FORGOTTEN, _FORGOTTEN.pack(node_id.encode(), seconds)))
    if extensions.shard_id is not None:
        parts.append(_extension(_EXT_SHARD_ID, extensions.shard_id.encode()))
    return parts


def _extension(kind: int, content: bytes) -> bytes:
    padding = -len(content) % 8
    return _EXTENSION.pack(_EXTENSION.size + len(content) + padding, kind, 0) + content + bytes(padding)


# ---- in ----


class Reader:
    """Cuts a stream into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.passed_over = 0
        """Whole messages that could not be used."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes of a message that is not yet whole."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> list[Message]:
        """Return the messages that are whole now. Raises `BrokenBus`."""
        buffer = self._buffer
        buffer += chunk
        found: list[Message] = []
        start = 0
        while len(buffer) - start >= 8:
            length = _length(buffer, start)
            if len(buffer) - start < 16:
                break
            _check_length(length, int.from_bytes(buffer[start + 12 : start + 14], "big"))
            if len(buffer) - start < length:
                break
            message = _decode(bytes(memoryview(buffer)[start : start + length]))
            if message is None:
                self.passed_over += 1
            else:
                found.append(message)
            start += length
        del buffer[:start]
        return found


def _length(buffer: bytearray, start: int) -> int:
    if buffer[start : start + 4] != SIGNATURE:
        raise BrokenBus("no signature")
    length = int.from_bytes(buffer[start + 4 : start + 8], "big")
    if length < HEADER_BYTES:
        raise BrokenBus(f"a message of {length} bytes is too short")
    return length


def _check_length(length: int, kind: int) -> None:
    """Refuse to wait for more bytes than such a message can have."""
    if kind <= messages.MEET:
        limit = PING_MAX_BYTES
    elif kind in (messages.PUBLISH, messages.PUBLISHSHARD, messages.MODULE):
        limit = PUBLISH_MAX_BYTES
    else:
        limit = _SHORT_MAX_BYTES
    if length > limit:
        raise BrokenBus(f"a message of type {kind} and {length} bytes is too long")


def _decode(raw: bytes) -> Message | None:
    """Return the message, or None where it is not well formed, of another version or type."""
    _, length, version, port, kind, count, epoch, config_epoch, offset, sender = _TOP.unpack_from(raw)
    if version != VERSION or kind > messages.PUBLISHSHARD or kind == messages.MODULE:
        return None
    primary, host, extension_count, reserved, tls_port, bus_port, flags, state, message_flags = (
        _REST.unpack_from(raw, _REST_AT)
    )
    sender_id, primary_id = _id(sender), "" if primary == _NO_ID else _id(primary)
    if sender_id is None or primary_id is None:
        return None
    gossip: tuple[Gossip, ...] = ()
    extensions = messages.NO_EXTENSIONS
    about, about_epoch, about_slots, channel, text = "", 0, 0, b"", b""
    if kind <= messages.MEET:
        end = HEADER_BYTES + count * _GOSSIP.size
        if end > length:
            return None
        entries = [_gossip(each) for each in _GOSSIP.iter_unpack(raw[HEADER_BYTES:end])]
        gossip = tuple(each for each in entries if each is not None)
        if not message_flags[0] & messages.HAS_EXTENSIONS:
            extension_count = 0
        read = _read_extensions(raw[end:], extension_count)
        if read is None:
            return None
        extensions = read
    elif kind == messages.FAIL:
        name = _id(raw[HEADER_BYTES:]) if length == HEADER_BYTES + 40 else None
        if name is None:
            return None
        about = name
    elif kind == messages.UPDATE:
        if length != HEADER_BYTES + _UPDATE.size:
            return None
        about_epoch, raw_name, bitmap = _UPDATE.unpack_from(raw, HEADER_BYTES)
        name = _id(raw_name)
        if name is None:
            return None
        about, about_slots = name, from_bitmap(bitmap)
    elif kind in (messages.PUBLISH, messages.PUBLISHSHARD):
        if length < HEADER_BYTES + _PUBLISH.size:
            return None
        channel_bytes, text_bytes = _PUBLISH.unpack_from(raw, HEADER_BYTES)
        start = HEADER_BYTES + _PUBLISH.size
        if length != start + channel_bytes + text_bytes:
            return None
        channel, text = raw[start : start + channel_bytes], raw[start + channel_bytes :]
    elif length != HEADER_BYTES:
        return None
    return Message(
        kind,
        sender_id,
        epoch,
        config_epoch,
        offset,
        from_bitmap(raw[_SLOTS_AT:_REST_AT]),
        primary_id,
        _host(host),
        port,
        tls_port,
        bus_port,
        flags,
        state == 0,
        message_flags[0],
        reserved[28:] == _OURS,
        gossip,
        extensions,
        about,
        about_epoch,
        about_slots,
        channel,
        text,
    )


def _gossip(fields: tuple[bytes, int, int, bytes, int, int, int, int, int]) -> Gossip | None:
    name, ping_s, pong_s, host, port, bus_port, flags, tls_port, _ = fields
    node_id = _id(name)
    if node_id is None:
        return None
    return Gossip(node_id, ping_s, pong_s, _host(host), port, bus_port, flags, tls_port)


@lru_cache(maxsize=1024)
def _read_extensions(raw: bytes, count: int) -> Extensions | None:
    at = 0
    hostname, human_name, shard_id = "", "", None
    forgotten: list[tuple[str, int]] = []
    for _ in range(count):
        if at + _EXTENSION.size > len(raw):
            return None
        length, kind, _ = _EXTENSION.unpack_from(raw, at)
        if length % 8 or length < _EXTENSION.size or at + length > len(raw):
            return None
        content = raw[at + _EXTENSION.size : at + length]
        at += length
        if kind == _EXT_HOSTNAME:
            hostname = _hostname(content)
        elif kind == _EXT_HUMAN_NAME:
            human_name = _name(content)
        elif kind == _EXT_FORGOTTEN and len(content) >= _FORGOTTEN.size:
            raw_id, seconds = _FORGOTTEN.unpack_from(content)
            node_id = _id(raw_id)
            if node_id is not None:
                forgotten.append((node_id, min(seconds, 3600)))
        elif kind == _EXT_SHARD_ID and len(content) >= 40:
            shard_id = _id(content[:40])
    if at != len(raw):
        return None
    if not (hostname or human_name or shard_id or forgotten):
        return messages.NO_EXTENSIONS
    return Extensions(hostname, human_name, shard_id, tuple(forgotten))


# ---- text from outside: the same few words, message after message ----


@lru_cache(maxsize=1024)
def _id(raw: bytes) -> str | None:
    text = raw.decode("latin-1")
    return text if len(text) == 40 and _HEX.issuperset(text) else None


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("latin-1")


@lru_cache(maxsize=1024)
def _host(raw: bytes) -> str:
    text = _text(raw)
    return text if _HOST_CHARACTERS.issuperset(text) else ""


def _hostname(raw: bytes) -> str:
    text = _text(raw)
    return text if len(text) < 256 and _HOST_CHARACTERS.issuperset(text) and ":" not in text else ""


def _name(raw: bytes) -> str:
    text = _text(raw)
    fits = len(text) < 256 and text.isascii() and text.isprintable()
    return text if fits and _FORBIDDEN_IN_NAMES.isdisjoint(text) else ""
