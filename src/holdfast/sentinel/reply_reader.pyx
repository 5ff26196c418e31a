"""Replies of the protocol, read from bytes as they come (RESP2), and commands as bytes.

What it is: a reader that is fed pieces and gives whole replies. What it is not: a
client; `link` is. A broken stream is one error type, and that connection ends.

How to read it: `ReplyReader.feed` returns what is complete, `read_reply` reads one.
"""

from collections.abc import Sequence
from typing import Union

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memchr, memcpy

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    char* PyBytes_AsString(object o) except NULL
cdef extern from "stdio.h":
    int snprintf(char* to, size_t n, const char* form, ...) nogil

cdef enum:
    DEPTH_MAX = 8
    BULK_MAX_BYTES = 64 << 20
    COUNT_MAX = 1 << 20
    DIGITS_MAX = 18
    LENGTH_WORD = 24        # bytes that a count or a length may take, with its mark and line end

cdef object INCOMPLETE = object()       # in the place of a reply: more bytes are needed


class ReplyStatus(str):
    """A status, such as PONG."""

    __slots__ = ()


class ReplyError(str):
    """An error, its code first."""

    __slots__ = ()


Reply = Union[ReplyStatus, ReplyError, str, int, None, Sequence["Reply"]]  # it names itself


class BrokenReply(ValueError):
    """The bytes are no reply."""


cdef class ReplyReader:

    def __init__(self):
        self.held = b""

    def feed(self, bytes piece):
        """Return the replies that are complete now. Raises BrokenReply."""
        cdef bytes held = self.held + piece if self.held else piece
        cdef const char* start = PyBytes_AS_STRING(held)
        cdef const char* at = start
        cdef const char* end = start + len(held)
        cdef const char* whole = start
        cdef list replies = []
        while at < end:
            reply = read_reply(&at, end, 0)
            if reply is INCOMPLETE:
                break
            replies.append(reply)
            whole = at
        self.held = held[whole - start:] if whole < end else b""
        return replies


cdef const char* line_end(const char* at, const char* end) noexcept nogil:
    """Return where CRLF stands, NULL: not yet there."""
    cdef const char* found
    while at < end:
        found = <const char*>memchr(at, c'\r', end - at)
        if found == NULL or found + 1 >= end:
            return NULL
        if found[1] == c'\n':
            return found
        at = found + 1
    return NULL


cdef object read_reply(const char** place, const char* end, int depth):
    """Return the reply that begins at a place, which goes on behind it; INCOMPLETE: it is not whole."""
    cdef const char* at = place[0]
    cdef const char* stop = line_end(at, end)
    cdef char kind
    cdef long long size
    cdef list items
    if stop == NULL:
        if end - at > BULK_MAX_BYTES:
            raise BrokenReply("a line without an end")
        return INCOMPLETE
    kind = at[0]
    at += 1
    if kind == c'$':
        size = number(at, stop)
        at = stop + 2
        if size > BULK_MAX_BYTES:
            raise BrokenReply("a bulk string that is too long")
        if size >= 0 and end - at < size + 2:
            return INCOMPLETE
        place[0] = at if size < 0 else at + size + 2
        return None if size < 0 else text_of(at, size)
    if kind == c'*':
        size = number(at, stop)
        place[0] = stop + 2
        if size < 0:
            return None
        if size > COUNT_MAX or depth >= DEPTH_MAX:
            raise BrokenReply("an array that is too large")
        items = []
        for _ in range(size):
            if place[0] >= end:
                return INCOMPLETE
            item = read_reply(place, end, depth + 1)
            if item is INCOMPLETE:
                return INCOMPLETE
            items.append(item)
        return items
    place[0] = stop + 2
    if kind == c':':
        return number(at, stop) if stop - at <= DIGITS_MAX else long_number(at[:stop - at])
    if kind == c'+':
        return ReplyStatus(text_of(at, stop - at))
    if kind == c'-':
        return ReplyError(text_of(at, stop - at))
    raise BrokenReply(f"a reply that begins with {(at - 1)[:1]!r}")


cdef str text_of(const char* at, Py_ssize_t size):
    return PyUnicode_DecodeUTF8(at, size, "surrogateescape")


cdef long long number(const char* at, const char* stop) except? -1:
    """Read a number of not too many digits."""
    cdef long long value = 0
    cdef bint is_negative = at < stop and at[0] == c'-'
    cdef const char* p = at + is_negative
    if p == stop or stop - p > DIGITS_MAX:
        raise BrokenReply(f"{at[:min(stop - at, 30)]!r} is no number")
    while p < stop:
        if not c'0' <= p[0] <= c'9':
            raise BrokenReply(f"{at[:min(stop - at, 30)]!r} is no number")
        value = value * 10 + (p[0] - c'0')
        p += 1
    return -value if is_negative else value


cdef object long_number(bytes line):
    try:
        return int(line)
    except ValueError as error:
        raise BrokenReply(f"{line[:30]!r} is no number") from error


def encode_command(words):
    """Return a command as bytes."""
    cdef list raw = []
    cdef Py_ssize_t size, total = LENGTH_WORD
    cdef const char* text
    cdef char* to
    cdef bytes made
    cdef str word
    cdef bytes each
    for word in words:
        try:
            PyUnicode_AsUTF8AndSize(word, &size)
            total += size + LENGTH_WORD
            raw.append(word)
        except UnicodeEncodeError:
            each = word.encode("utf-8", "surrogateescape")
            total += len(each) + LENGTH_WORD
            raw.append(each)
    made = PyBytes_FromStringAndSize(NULL, total)
    to = PyBytes_AS_STRING(made)
    to += snprintf(to, LENGTH_WORD, "*%zd\r\n", <Py_ssize_t>len(raw))
    for word_or_bytes in raw:
        if type(word_or_bytes) is bytes:
            text, size = PyBytes_AsString(word_or_bytes), len(<bytes>word_or_bytes)
        else:
            text = PyUnicode_AsUTF8AndSize(word_or_bytes, &size)
        to += snprintf(to, LENGTH_WORD, "$%zd\r\n", size)
        memcpy(to, text, size)
        to += size
        to[0], to[1] = c'\r', c'\n'
        to += 2
    return made[:to - PyBytes_AS_STRING(made)]
