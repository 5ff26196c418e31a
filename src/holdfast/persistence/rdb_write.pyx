"""Whole snapshots of a keyspace, as an RDB or as commands.

What it is: the order of a file (magic, aux fields, function libraries, then each
database with its keys, the end and the checksum) and the sink that a descriptor
is. What it is not: how a value looks (`engine.rdb_encode`, `command_form`), when
a snapshot is made, or where it goes (`snapshot`).

The version written is 10, the oldest that holds every form of ours, so that
Redis 7.0 loads it.

How to read it: `write_keyspace` is the order of the file; `drain` is how bytes
leave; the Python functions are at the end. Nothing above them touches an object.
"""

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memset
from holdfast.engine.buf cimport buf_append, buf_free, buf_reserve
from holdfast.engine.checksum cimport crc64
from holdfast.engine.keyspace cimport Database, Keyspace
from holdfast.engine.rdb_encode cimport (
    SINK_BYTES, Sink, put_byte, put_length, put_record, put_string, sink_drain)
from holdfast.engine.rdb_format cimport (
    RDB_AUX, RDB_EOF, RDB_FUNCTION, RDB_RESIZEDB, RDB_SELECTDB, RDB_VERSION_WRITTEN)
from holdfast.engine.record cimport Record
from holdfast.engine.state cimport Engine
from holdfast.engine.table cimport TableCursor, table_walk, table_walk_next
from holdfast.persistence.command_form cimport put_commands, put_select

import os

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <fcntl.h>
    #include <poll.h>
    #include <unistd.h>
    static void hf_write_back(int fd, uint64_t from, uint64_t bytes) {
    #if defined(__linux__)
        sync_file_range(fd, (off_t)from, (off_t)bytes, SYNC_FILE_RANGE_WRITE);
    #else
        (void)fd; (void)from; (void)bytes;
    #endif
    }
    static void hf_await_room(int fd) {
        struct pollfd p; p.fd = fd; p.events = POLLOUT; p.revents = 0;
        poll(&p, 1, -1);
    }
    """
    void hf_write_back(int fd, uint64_t start, uint64_t bytes) noexcept nogil
    void hf_await_room(int fd) noexcept nogil
    ssize_t write(int fd, const void* p, size_t n) noexcept nogil

cdef enum:
    EARLY_SYNC_BYTES = 4 << 20
    REPORT_BYTES = 8 << 20      # a progress report after so many bytes

RDB_VERSION = RDB_VERSION_WRITTEN


# ---- bytes that leave ----

cdef void target_init(Target* t, int fd) noexcept nogil:
    memset(t, 0, sizeof(Target))
    t.fd = fd
    t.report_fd = -1


cdef void write_all(Target* t, const char* p, size_t n) noexcept nogil:
    cdef ssize_t done
    while n and not t.error:
        done = write(t.fd, p, n)
        if done < 0:
            if errno == EAGAIN:
                hf_await_room(t.fd)
            elif errno != EINTR:
                t.error = errno
            continue
        p += done
        n -= done
        t.written += done


cdef void tell(Target* t, uint64_t cow_bytes, bint done) noexcept nogil:
    cdef Report report
    cdef ssize_t told
    if t.report_fd < 0:
        return
    report.keys = t.keys
    report.written = t.written
    report.cow_bytes = cow_bytes
    report.error = t.error
    report.done = done
    told = write(t.report_fd, &report, sizeof(Report))
    if told < 0 and done:           # only the last word matters
        hf_await_room(t.report_fd)
        told = write(t.report_fd, &report, sizeof(Report))
    t.reported = t.written


cdef void drain(Sink* s) noexcept nogil:
    cdef Target* t = <Target*>s.owner
    if t.checksum:
        t.crc = crc64(t.crc, s.buf.ptr, s.buf.len)
    write_all(t, s.buf.ptr, s.buf.len)
    s.buf.len = 0
    if t.early_sync and t.written - t.handed >= EARLY_SYNC_BYTES:
        hf_write_back(t.fd, t.handed, t.written - t.handed)
        t.handed = t.written
    if t.report_fd >= 0 and t.written - t.reported >= REPORT_BYTES:
        tell(t, 0, False)


cdef void sink_to(Sink* s, Target* t) noexcept nogil:
    memset(s, 0, sizeof(Sink))
    s.owner = t
    s.drain = drain
    buf_reserve(&s.buf, SINK_BYTES + SINK_BYTES // 4)


# ---- the order of a file ----

cdef void put_database(Sink* s, Keyspace* ks, Plan* plan, int db, bint first) noexcept nogil:
    """What leads over to a database; with how many keys to come, the first time."""
    if plan.commands:
        put_select(s, db)
        return
    put_byte(s, RDB_SELECTDB)
    put_length(s, db)
    if first:
        put_byte(s, RDB_RESIZEDB)
        put_length(s, ks.dbs[db].keys)
        put_length(s, ks.dbs[db].volatile_count)


cdef void put_planned(Sink* s, Keyspace* ks, Plan* plan, Record* r) noexcept nogil:
    if plan.commands:
        put_commands(s, r)
    else:
        put_record(s, ks, r, plan.idle, plan.frequency)


cdef int write_keyspace(Keyspace* ks, Plan* plan, Target* t) noexcept nogil:
    cdef Sink s
    cdef Database* db
    cdef TableCursor c
    cdef Record* r
    cdef int i, table
    cdef uint8_t seal[8]
    sink_to(&s, t)
    s.compress = plan.compress
    buf_append(&s.buf, plan.head, plan.head_bytes)
    for i in range(ks.db_count):
        db = &ks.dbs[i]
        if db.keys == 0:
            continue
        put_database(&s, ks, plan, i, True)
        for table in range(db.tables):
            table_walk(&db.table[table], &c)
            r = <Record*>table_walk_next(&c)
            while r != NULL and not t.error:
                put_planned(&s, ks, plan, r)
                t.keys += 1
                sink_drain(&s)
                r = <Record*>table_walk_next(&c)
    if not plan.commands:
        put_byte(&s, RDB_EOF)
    drain(&s)
    if not plan.commands:
        for i in range(8):
            seal[i] = <uint8_t>(t.crc >> (8 * i))
        write_all(t, <const char*>seal, 8)
    buf_free(&s.buf)
    return t.error


# ---- for Python ----

def snapshot_head(fields, functions=()):
    """Return what stands before the first database: magic, aux fields, function libraries."""
    cdef Sink s
    cdef bytes text
    memset(&s, 0, sizeof(Sink))
    try:
        text = b"REDIS%04d" % RDB_VERSION_WRITTEN
        buf_append(&s.buf, text, len(text))
        for name, value in fields:
            put_byte(&s, RDB_AUX)
            text = name
            put_string(&s, text, len(text))
            text = value
            put_string(&s, text, len(text))
        for code in functions:
            put_byte(&s, RDB_FUNCTION)
            text = code
            put_string(&s, text, len(text))
        return s.buf.ptr[:s.buf.len]
    finally:
        buf_free(&s.buf)


def write_snapshot(
        Engine engine not None, int fd, bytes head not None, *, bint commands, bint compress, bint checksum,
        bint early_sync, bint idle=False, bint frequency=False):
    """Write everything to a descriptor at once; return bytes and keys. OSError."""
    cdef Plan plan
    cdef Target t
    plan.head = head
    plan.head_bytes = len(head)
    plan.commands = commands
    plan.compress = compress
    plan.idle = idle
    plan.frequency = frequency
    target_init(&t, fd)
    t.checksum = checksum
    t.early_sync = early_sync
    with nogil:
        write_keyspace(&engine.ks, &plan, &t)
    if t.error:
        raise OSError(t.error, os.strerror(t.error))
    return t.written, t.keys
