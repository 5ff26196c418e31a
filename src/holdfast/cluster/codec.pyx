"""The bytes of the cluster bus: signature RCmb, version 1, as Redis 7.0 and 7.2 write them.

What it is: `encode` turns a message into bytes, `Reader` turns a stream of bytes back into
messages. What it is not: the meaning of anything.

Garbage harms nothing. What cannot be this bus (signature, a length that no such message
can have) is `BrokenBus`: the connection ends. A whole message whose inner lengths do not
fit, of another version or of an unknown type, is passed over and counted, as Redis does.
Text from outside is checked before it can reach nodes.conf or a reply.

How to read it: where things stand in header and gossip, `encode`, then `Reader.feed` and
`decode`. Most messages are PING and PONG, and most say what the one before said: so sets of
slots are compared as bytes, and words are looked up.
"""

import struct
from functools import lru_cache

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t, uint64_t, int64_t, uint8_t
from libc.string cimport memcmp, memcpy, memset

from holdfast.cluster import messages
from holdfast.cluster.messages import Extensions, Gossip, Message
from holdfast.cluster.slots import from_bitmap, to_bitmap

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    bint PyUnicode_IS_ASCII(object text)

cdef enum:
    VERSION = 1
    ID_BYTES = 40
    HOST_BYTES = 46
    BITMAP_BYTES = 2048
    # places in the header
    LENGTH_AT = 4
    VERSION_AT = 8
    PORT_AT = 10
    TYPE_AT = 12
    COUNT_AT = 14
    EPOCH_AT = 16
    CONFIG_EPOCH_AT = 24
    OFFSET_AT = 32
    SENDER_AT = 40
    SLOTS_AT = 80
    PRIMARY_AT = 2128
    HOST_AT = 2168
    EXTENSIONS_AT = 2214
    OURS_AT = 2244          # the last two of 30 reserved bytes
    TLS_PORT_AT = 2246
    BUS_PORT_AT = 2248
    FLAGS_AT = 2250
    STATE_AT = 2252
    MESSAGE_FLAGS_AT = 2253
    HEADER = 2256
    # places in an entry of gossip
    G_PING_AT = 40
    G_PONG_AT = 44
    G_HOST_AT = 48
    G_PORT_AT = 94
    G_BUS_PORT_AT = 96
    G_FLAGS_AT = 98
    G_TLS_PORT_AT = 100
    GOSSIP_BYTES = 104
    # fields of a message in their order, as far as they are read here one by one
    M_TYPE = 0
    M_SENDER = 1
    M_EPOCH = 2
    M_CONFIG_EPOCH = 3
    M_OFFSET = 4
    M_SLOTS = 5
    M_PRIMARY = 6
    M_HOST = 7
    M_PORT = 8
    M_TLS_PORT = 9
    M_BUS_PORT = 10
    M_FLAGS = 11
    M_IS_OK = 12
    M_MESSAGE_FLAGS = 13
    M_IS_OURS = 14
    # types: PING, PONG and MEET are up to the first
    KINDS_OF_PING = 2
    KIND_FAIL = 3
    KIND_PUBLISH = 4
    KIND_UPDATE = 7
    KIND_MODULE = 9
    KIND_LAST = 10          # PUBLISHSHARD
    EXTENDED = 4            # message flag: there may be extensions
    BITMAPS_KEPT = 8

assert Message._fields[:15] == (
    "type", "sender", "epoch", "config_epoch", "offset", "slots", "primary_id", "host", "port", "tls_port",
    "bus_port", "flags", "is_ok", "message_flags", "is_ours",
)
assert Gossip._fields == (
    "node_id", "ping_sent_s", "pong_received_s", "host", "port", "bus_port", "flags", "tls_port",
)

assert (messages.MEET, messages.FAIL, messages.PUBLISH, messages.UPDATE) == (
    KINDS_OF_PING, KIND_FAIL, KIND_PUBLISH, KIND_UPDATE)
assert (messages.MODULE, messages.PUBLISHSHARD, messages.HAS_EXTENSIONS) == (KIND_MODULE, KIND_LAST, EXTENDED)

HEADER_BYTES = HEADER
_EXTENSION = struct.Struct(">IHH")
_FORGOTTEN = struct.Struct(">40sQ")
_PUBLISH = struct.Struct(">II")
_UPDATE = struct.Struct(">Q40s2048s")

cdef bytes NO_ID = bytes(ID_BYTES)
cdef uint64_t PUBLISH_MAX_BYTES = (1 << 30) + HEADER + 8
cdef uint64_t PING_MAX_BYTES = HEADER + 65535 * GOSSIP_BYTES + (1 << 20)
cdef uint64_t SHORT_MAX_BYTES = HEADER + 2096

_EXT_HOSTNAME = 0
_EXT_HUMAN_NAME = 1
_EXT_FORGOTTEN = 2
_EXT_SHARD_ID = 3

_HEX = frozenset("0123456789abcdef")
_HOST_CHARACTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:-_%")
_FORBIDDEN_IN_NAMES = frozenset("!#$%&()*+:;<>?@[]^{|}~,= \t\"'\\")

cdef object tuple_new = tuple.__new__


class BrokenBus(ValueError):
    """These bytes are not of this bus."""


# ---- numbers, the high byte first ----


cdef inline void put16(char* to, unsigned int value) noexcept nogil:
    to[0], to[1] = <char>(value >> 8), <char>value


cdef inline void put32(char* to, uint32_t value) noexcept nogil:
    put16(to, value >> 16)
    put16(to + 2, value & 0xFFFF)


cdef inline void put64(char* to, uint64_t value) noexcept nogil:
    put32(to, <uint32_t>(value >> 32))
    put32(to + 4, <uint32_t>value)


cdef inline uint32_t get16(const char* p) noexcept nogil:
    return <uint32_t>(<uint8_t>p[0]) << 8 | <uint8_t>p[1]


cdef inline uint32_t get32(const char* p) noexcept nogil:
    return get16(p) << 16 | get16(p + 2)


cdef inline uint64_t get64(const char* p) noexcept nogil:
    return <uint64_t>get32(p) << 32 | get32(p + 4)


# ---- out ----


def encode(message):
    """Return the bytes of a message."""
    cdef tuple m = <tuple>message
    cdef list parts = []
    cdef Py_ssize_t count = 0, extensions = 0
    cdef bytes header = PyBytes_FromStringAndSize(NULL, HEADER)
    cdef char* to = PyBytes_AS_STRING(header)
    cdef Py_ssize_t length = HEADER
    if m[M_TYPE] <= KINDS_OF_PING:
        count = len(message.gossip)
        if count:
            parts.append(gossip_bytes(message.gossip))
        added = _extensions(message.extensions)
        extensions = len(added)
        parts += added
    else:
        parts.append(_body(message))
    for part in parts:
        length += len(<bytes>part)
    memset(to, 0, HEADER)
    memcpy(to, b"RCmb", 4)
    put32(to + LENGTH_AT, <uint32_t>length)
    put16(to + VERSION_AT, VERSION)
    put16(to + PORT_AT, m[M_PORT])
    put16(to + TYPE_AT, m[M_TYPE])
    put16(to + COUNT_AT, <unsigned int>count)
    put64(to + EPOCH_AT, m[M_EPOCH])
    put64(to + CONFIG_EPOCH_AT, m[M_CONFIG_EPOCH])
    put64(to + OFFSET_AT, <uint64_t><int64_t>m[M_OFFSET])
    put_text(to + SENDER_AT, ID_BYTES, m[M_SENDER])
    memcpy(to + SLOTS_AT, PyBytes_AS_STRING(bitmap_of(m[M_SLOTS])), BITMAP_BYTES)
    put_text(to + PRIMARY_AT, ID_BYTES, m[M_PRIMARY])
    put_text(to + HOST_AT, HOST_BYTES - 1, m[M_HOST])
    put16(to + EXTENSIONS_AT, <unsigned int>extensions)
    if m[M_IS_OURS]:
        memcpy(to + OURS_AT, b"Hf", 2)
    put16(to + TLS_PORT_AT, m[M_TLS_PORT])
    put16(to + BUS_PORT_AT, m[M_BUS_PORT])
    put16(to + FLAGS_AT, m[M_FLAGS] & 0xFFFF)
    to[STATE_AT] = 0 if m[M_IS_OK] else 1
    to[MESSAGE_FLAGS_AT] = <char>(<unsigned int>m[M_MESSAGE_FLAGS])
    return header if not parts else b"".join([header] + parts)


cdef bytes gossip_bytes(tuple gossip):
    cdef bytes made = PyBytes_FromStringAndSize(NULL, len(gossip) * GOSSIP_BYTES)
    cdef char* to = PyBytes_AS_STRING(made)
    cdef tuple each
    memset(to, 0, len(made))
    for row in gossip:
        each = <tuple>row
        put_text(to, ID_BYTES, each[0])
        put32(to + G_PING_AT, each[1] & 0xFFFFFFFF)
        put32(to + G_PONG_AT, each[2] & 0xFFFFFFFF)
        put_text(to + G_HOST_AT, HOST_BYTES - 1, each[3])
        put16(to + G_PORT_AT, each[4])
        put16(to + G_BUS_PORT_AT, each[5])
        put16(to + G_FLAGS_AT, each[6] & 0xFFFF)
        put16(to + G_TLS_PORT_AT, each[7])
        to += GOSSIP_BYTES
    return made


cdef int put_text(char* to, Py_ssize_t room, str text) except -1:
    """Write a word as far as there is room for it."""
    cdef Py_ssize_t size
    cdef const char* p
    cdef bytes raw
    if PyUnicode_IS_ASCII(text):
        p = PyUnicode_AsUTF8AndSize(text, &size)
    else:
        raw = text.encode("latin-1", "replace")
        p, size = PyBytes_AS_STRING(raw), len(raw)
    memcpy(to, p, min(size, room))
    return 0


# The sets that were written last, with their bytes: mostly the same few.
cdef list bitmaps = []


cdef bytes bitmap_of(slots):
    """Return the bytes of a set of slots."""
    cdef tuple each
    for each in bitmaps:
        if each[0] is slots:
            return <bytes>each[1]
    cdef bytes made = to_bitmap(slots)
    if len(bitmaps) >= BITMAPS_KEPT:
        del bitmaps[0]
    bitmaps.append((slots, made))
    return made


def _body(message):
    """Return the body of a message that is no ping."""
    kind = message.type
    if kind == KIND_FAIL:
        return message.about.encode()
    if kind == KIND_UPDATE:
        return _UPDATE.pack(message.about_epoch, message.about.encode(), to_bitmap(message.about_slots))
    if kind == KIND_PUBLISH or kind == KIND_LAST:
        return _PUBLISH.pack(len(message.channel), len(message.text)) + message.channel + message.text
    return b""


def _extensions(extensions):
    if extensions is messages.NO_EXTENSIONS:
        return []
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


def _extension(kind, content):
    padding = (8 - len(content) % 8) % 8
    return _EXTENSION.pack(_EXTENSION.size + len(content) + padding, kind, 0) + content + bytes(padding)


# ---- in ----


cdef class Reader:
    """Cuts a stream into messages."""

    def __init__(self):
        self.pieces = []
        self.wanted = 1
        self.last_slots = 0
        self.last_bitmap = bytes(BITMAP_BYTES)

    @property
    def waiting_bytes(self):
        """Bytes of a message that is not yet whole."""
        return self.held

    def feed(self, bytes chunk):
        """Return the messages that are whole now. Raises `BrokenBus`."""
        cdef list found = []
        cdef const char* p
        cdef Py_ssize_t start = 0, size
        cdef uint64_t length
        if self.pieces:
            self.pieces.append(chunk)
            self.held += len(chunk)
            if self.held < self.wanted:
                return found
            chunk = b"".join(self.pieces)
            self.pieces = []
        p, size = PyBytes_AS_STRING(chunk), len(chunk)
        while start < size:
            self.wanted = 8 if size - start < 8 else 16
            if size - start < 8:
                break
            length = length_of(p + start)
            if size - start < 16:
                break
            check_length(length, get16(p + start + TYPE_AT))
            if <uint64_t>(size - start) < length:
                self.wanted = <Py_ssize_t>length
                break
            message = self.decode(p + start, <Py_ssize_t>length)
            if message is None:
                self.passed_over += 1
            else:
                found.append(message)
            start += <Py_ssize_t>length
        self.held = size - start
        if self.held:
            self.pieces.append(chunk[start:] if start else chunk)
        return found

    cdef object decode(self, const char* p, Py_ssize_t length):
        """Return the message, or None where it is not well formed, of another version or type."""
        cdef unsigned int kind = get16(p + TYPE_AT), count, extension_count
        cdef Py_ssize_t end, i
        cdef uint64_t channel_bytes
        cdef tuple gossip = ()
        cdef list rows
        if get16(p + VERSION_AT) != VERSION or kind > KIND_LAST or kind == KIND_MODULE:
            return None
        sender = _id(p[SENDER_AT:SENDER_AT + ID_BYTES])
        primary = p[PRIMARY_AT:PRIMARY_AT + ID_BYTES]
        primary = "" if primary == NO_ID else _id(primary)
        if sender is None or primary is None:
            return None
        extensions = messages.NO_EXTENSIONS
        about, about_epoch, about_slots, channel, text = "", 0, 0, b"", b""
        if kind <= KINDS_OF_PING:
            count = get16(p + COUNT_AT)
            end = HEADER + <Py_ssize_t>count * GOSSIP_BYTES
            if end > length:
                return None
            if count:
                rows = []
                for i in range(count):
                    row = gossip_at(p + HEADER + i * GOSSIP_BYTES)
                    if row is not None:
                        rows.append(row)
                gossip = tuple(rows)
            extension_count = get16(p + EXTENSIONS_AT)
            if not p[MESSAGE_FLAGS_AT] & EXTENDED:
                extension_count = 0
            if extension_count or end != length:
                extensions = _read_extensions(p[end:length], extension_count)
                if extensions is None:
                    return None
        elif kind == KIND_FAIL:
            about = _id(p[HEADER:length]) if length == HEADER + ID_BYTES else None
            if about is None:
                return None
        elif kind == KIND_UPDATE:
            if length != HEADER + _UPDATE.size:
                return None
            about_epoch, raw_name, bitmap = _UPDATE.unpack(p[HEADER:length])
            about, about_slots = _id(raw_name), from_bitmap(bitmap)
            if about is None:
                return None
        elif kind == KIND_PUBLISH or kind == KIND_LAST:
            if length < HEADER + 8:
                return None
            channel_bytes = get32(p + HEADER)
            if <uint64_t>length != HEADER + 8 + channel_bytes + get32(p + HEADER + 4):
                return None
            end = HEADER + 8 + <Py_ssize_t>channel_bytes
            channel, text = p[HEADER + 8:end], p[end:length]
        elif length != HEADER:
            return None
        return tuple_new(Message, (
            kind,
            sender,
            get64(p + EPOCH_AT),
            get64(p + CONFIG_EPOCH_AT),
            <int64_t>get64(p + OFFSET_AT),
            self.slots_at(p + SLOTS_AT),
            primary,
            _host(p[HOST_AT:HOST_AT + HOST_BYTES]),
            get16(p + PORT_AT),
            get16(p + TLS_PORT_AT),
            get16(p + BUS_PORT_AT),
            get16(p + FLAGS_AT),
            p[STATE_AT] == 0,
            <uint8_t>p[MESSAGE_FLAGS_AT],
            memcmp(p + OURS_AT, b"Hf", 2) == 0,
            gossip,
            extensions,
            about,
            about_epoch,
            about_slots,
            channel,
            text,
        ))

    cdef object slots_at(self, const char* p):
        """Read a set of slots, which is mostly the one that was read last."""
        if memcmp(p, PyBytes_AS_STRING(self.last_bitmap), BITMAP_BYTES):
            self.last_bitmap = PyBytes_FromStringAndSize(p, BITMAP_BYTES)
            self.last_slots = from_bitmap(self.last_bitmap)
        return self.last_slots


cdef uint64_t length_of(const char* p) except 0:
    cdef uint64_t length = get32(p + LENGTH_AT)
    if memcmp(p, b"RCmb", 4):
        raise BrokenBus("no signature")
    if length < HEADER:
        raise BrokenBus(f"a message of {length} bytes is too short")
    return length


cdef int check_length(uint64_t length, unsigned int kind) except -1:
    """Refuse to wait for more bytes than such a message can have."""
    cdef uint64_t limit = SHORT_MAX_BYTES
    if kind <= KINDS_OF_PING:
        limit = PING_MAX_BYTES
    elif kind == KIND_PUBLISH or kind == KIND_LAST or kind == KIND_MODULE:
        limit = PUBLISH_MAX_BYTES
    if length > limit:
        raise BrokenBus(f"a message of type {kind} and {length} bytes is too long")
    return 0


cdef object gossip_at(const char* p):
    node_id = _id(p[:ID_BYTES])
    if node_id is None:
        return None
    return tuple_new(Gossip, (
        node_id,
        get32(p + G_PING_AT),
        get32(p + G_PONG_AT),
        _host(p[G_HOST_AT:G_HOST_AT + HOST_BYTES]),
        get16(p + G_PORT_AT),
        get16(p + G_BUS_PORT_AT),
        get16(p + G_FLAGS_AT),
        get16(p + G_TLS_PORT_AT),
    ))


@lru_cache(maxsize=1024)
def _read_extensions(raw, count):
    at = 0
    hostname, human_name, shard_id = "", "", None
    forgotten = []
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
def _id(raw):
    text = raw.decode("latin-1")
    return text if len(text) == 40 and _HEX.issuperset(text) else None


def _text(raw):
    return raw.partition(b"\0")[0].decode("latin-1")


@lru_cache(maxsize=1024)
def _host(raw):
    text = _text(raw)
    return text if _HOST_CHARACTERS.issuperset(text) else ""


def _hostname(raw):
    text = _text(raw)
    return text if len(text) < 256 and _HOST_CHARACTERS.issuperset(text) and ":" not in text else ""


def _name(raw):
    text = _text(raw)
    fits = len(text) < 256 and text.isascii() and text.isprintable()
    return text if fits and _FORBIDDEN_IN_NAMES.isdisjoint(text) else ""
