"""A snapshot written in slices between ticks, where there is no fork.

What it is: the copy-on-write walker of simulator and embedding. It writes the
records as they were when the walk began: a record that is about to change, and
was not written yet, is written first (`hooks.before_write`). Its bytes are those
that a forked child would write, but for the order of keys.

Invariant: while nobody walks every record carries `walk_mark`. A walk turns the
mark over; from then on a record with the old mark is one that is still to be
written, and new records are born with the new mark. Tables may grow or shrink
meanwhile: they are gone over as SCAN does, and the mark tells what was seen.

What it is not: for flushing or swapping whole databases; end the walk first.
"""

from libc.stdint cimport uint8_t
from holdfast.engine.buf cimport buf_append, buf_free
from holdfast.engine.checksum cimport crc64
from holdfast.engine.keyspace cimport Database, Keyspace
from holdfast.engine.rdb_encode cimport put_byte
from holdfast.engine.rdb_format cimport RDB_EOF
from holdfast.engine.record cimport FLAG_WALKED, Record
from holdfast.engine.state cimport Engine
from holdfast.engine.table cimport TableCursor, table_scan, table_walk, table_walk_next
from holdfast.persistence.rdb_write cimport put_database, put_planned


cdef void before_write(void* owner, Database* db, Record* r) noexcept with gil:
    cdef SnapshotWalk walk = (<Engine>owner).walk
    if walk is not None:
        walk.write_record(db, r)


cdef void visit(void* entry, void** slot, void* arg) noexcept with gil:
    cdef SnapshotWalk walk = <SnapshotWalk>arg
    cdef Record* r = <Record*>entry
    if (r.state & FLAG_WALKED) != walk.mark:
        walk.write_record(&walk.engine.ks.dbs[walk.db], r)
        r.state = <uint8_t>((r.state & ~FLAG_WALKED) | walk.mark)


cdef class SnapshotWalk:
    def __cinit__(self, Engine engine not None, bytes head not None, *, bint commands, bint compress,
                  bint checksum, bint idle=False, bint frequency=False):
        cdef Keyspace* ks = &engine.ks
        cdef int i
        if engine.walk is not None:
            raise RuntimeError("a walk is under way")
        self.engine = engine
        self.head = head
        self.plan.head = NULL
        self.plan.head_bytes = 0
        self.plan.commands = commands
        self.plan.idle = idle
        self.plan.frequency = frequency
        self.sink.compress = compress
        self.checksum = checksum
        self.last_db = -1
        self.announced = set()
        buf_append(&self.sink.buf, <const char*>head, len(head))
        for i in range(ks.db_count):
            self.keys_told += ks.dbs[i].keys
        ks.walk_mark ^= FLAG_WALKED
        self.mark = ks.walk_mark
        ks.hooks.before_write = before_write
        ks.walking = True
        engine.walk = self

    def __dealloc__(self):
        buf_free(&self.sink.buf)

    cdef void write_record(self, Database* db, Record* r) noexcept:
        if self.last_db != db.id:
            self.last_db = db.id
            put_database(&self.sink, &self.engine.ks, &self.plan, db.id, db.id not in self.announced)
            self.announced.add(db.id)
        put_planned(&self.sink, &self.engine.ks, &self.plan, r)
        self.keys += 1

    def step(self, size_t budget_bytes):
        """Return the next bytes, about so many; empty when `ended`."""
        cdef Keyspace* ks = &self.engine.ks
        cdef Database* db
        cdef bytes chunk
        cdef int visits = 0
        while not self.ended and self.sink.buf.len < budget_bytes and visits < <int>budget_bytes:
            db = &ks.dbs[self.db]
            self.cursor = table_scan(&db.table[self.table], self.cursor, visit, <void*>self)
            visits += 16
            if self.cursor == 0:
                self.table += 1
                if self.table == db.tables:
                    self.table = 0
                    self.db += 1
                if self.db == ks.db_count:
                    self.finish()
        chunk = self.sink.buf.ptr[:self.sink.buf.len]
        if self.checksum:
            self.crc = crc64(self.crc, self.sink.buf.ptr, self.sink.buf.len)
        self.sink.buf.len = 0
        if self.ended and chunk and not self.plan.commands:
            chunk += self.crc.to_bytes(8, "little")
        return chunk

    cdef void finish(self) noexcept:
        if not self.plan.commands:
            put_byte(&self.sink, RDB_EOF)
        self.ended = True
        self.release()

    def release(self):
        """Let records be written without asking; the walk holds nothing any more."""
        if self.engine.walk is self:
            self.engine.walk = None
            self.engine.ks.walking = False

    def stop(self):
        """End the walk; a snapshot that has not ended is worth nothing."""
        cdef Keyspace* ks = &self.engine.ks
        cdef TableCursor c
        cdef Record* r
        cdef int i, table
        if self.engine.walk is not self:
            return
        for i in range(ks.db_count):
            for table in range(ks.dbs[i].tables):
                table_walk(&ks.dbs[i].table[table], &c)
                r = <Record*>table_walk_next(&c)
                while r != NULL:
                    r.state = <uint8_t>((r.state & ~FLAG_WALKED) | ks.walk_mark)
                    r = <Record*>table_walk_next(&c)
        self.release()
