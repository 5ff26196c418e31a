"""Whole RDB files, read as bytes come in.

What it is: a push parser for versions 1 to 12. Whoever has bytes (a file read in
pieces, a socket) hands them to `feed`; every key that is whole is in the engine
afterwards, in its final form. Large values are taken element by element, so
that no more than one string waits for its end. What it is not: files, the loop,
or what becomes of aux fields and function libraries (they are kept for whoever
asks).

What cannot be read ends in RdbRefused with the offset: damage, a checksum that
is wrong, a key that comes twice, a version or a type that we do not know.

How to read it: `feed` is the loop; `read_item` reads one thing whole, or
nothing; `read_opcode` are the things that are no keys.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer, Py_buffer
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp
from holdfast.engine.buf cimport Slice, buf_append, buf_consume, buf_free, slice_bytes, slice_of
from holdfast.engine.checksum cimport crc64
from holdfast.engine.huge_pages cimport follow_heap
from holdfast.engine.keyspace cimport Keyspace
from holdfast.engine.rdb_decode cimport (
    decode_value, decoder_clear, decoder_init, drop_decoded, foreign_type, store_decoded)
from holdfast.engine.rdb_format cimport (
    RDB_AUX, RDB_EOF, RDB_EXPIRE_MS, RDB_EXPIRE_SECONDS, RDB_FREQ, RDB_FUNCTION, RDB_IDLE, RDB_MODULE_AUX,
    RDB_RESIZEDB, RDB_SELECTDB, RDB_SLOT_INFO, RDB_VERSION_READ)
from holdfast.engine.rdb_window cimport DECODED, FAULTY, NEEDS_MORE, read_fixed64, read_length, read_string
from holdfast.engine.record cimport Record, record_set_lru
from holdfast.engine.state cimport Engine
from holdfast.engine.table cimport table_expand

from holdfast.persistence.aof_reader import RdbRefused

cdef enum Stage:
    AT_MAGIC
    AT_ITEM
    IN_VALUE        # the key is known, its value is under way
    AT_SEAL
    AT_END

cdef enum:
    HEAD_BYTES = 9
    SEAL_SINCE_VERSION = 5
    RECORD_BYTES_LEAST = 3      # of a key in a file: what a promised number of keys is held against
    KEYS_TRUSTED = 1 << 20      # where the size of the file is not known


cdef class RdbReader:
    def __cinit__(self, Engine engine not None, *, bint check_seal=True, bint skip_expired=True,
                  int64_t total_bytes=-1):
        self.engine = engine
        decoder_init(&self.decoder, engine)
        self.check_seal = check_seal
        self.skip_expired = skip_expired
        self.total_bytes = total_bytes
        self.db = &engine.ks.dbs[0]
        self.fields = {}
        self.functions = []
        self.expire_ms = -1
        self.idle_s = -1
        self.frequency = -1
        self.stage = AT_MAGIC

    def __dealloc__(self):
        decoder_clear(&self.decoder)
        buf_free(&self.rest)

    @property
    def done_bytes(self):
        """How many bytes were read for good."""
        return self.offset

    @property
    def at_key(self):
        """The key under way, or None."""
        return self.key

    def feed(self, chunk):
        """Take the next bytes; return how many of them belong to the RDB. RdbRefused."""
        cdef Py_buffer view
        cdef const uint8_t* start
        cdef const uint8_t* before
        cdef size_t have, held = self.rest.len, used
        cdef uint64_t at
        cdef int rc = DECODED
        if self.ended:
            return 0
        follow_heap()
        PyObject_GetBuffer(chunk, &view, PyBUF_SIMPLE)
        try:
            if held:
                buf_append(&self.rest, <const char*>view.buf, view.len)
                start = <const uint8_t*>self.rest.ptr
                have = self.rest.len
            else:
                start = <const uint8_t*>view.buf
                have = view.len
            self.decoder.at = start
            self.decoder.end = start + have
            at = self.offset
            while rc == DECODED and not self.ended:
                before = self.decoder.at
                rc = self.read_item()
                if rc != DECODED and self.stage != IN_VALUE:
                    # Half a thing is read again later; of a value under way what was read is read.
                    self.decoder.at = before
                self.offset = at + (self.decoder.at - start)
                if self.stage == AT_SEAL and not self.sealed:
                    self.sealed = True
                    self.sum_to(start - (at - self.summed), self.offset)
            used = self.decoder.at - start
            if not self.sealed:
                self.sum_to(start - (at - self.summed), self.offset)
            if rc == FAULTY:
                self.refuse()
            if self.ended:
                buf_free(&self.rest)
                return used - held
            if held:
                buf_consume(&self.rest, used)
            elif used < have:
                buf_append(&self.rest, <const char*>start + used, have - used)
            return view.len
        finally:
            self.decoder.at = NULL
            self.decoder.end = NULL
            PyBuffer_Release(&view)

    cdef void sum_to(self, const unsigned char* p, uint64_t upto) noexcept:
        """Take the checksum on to an offset; `p` is where the byte at `summed` lies."""
        if self.check_seal and self.version >= SEAL_SINCE_VERSION and upto > self.summed:
            self.crc = crc64(self.crc, p, upto - self.summed)
        self.summed = upto

    def refuse(self):
        """Raise the refusal for the fault at hand."""
        cdef bytes why = self.fault if self.fault != NULL else self.decoder.fault
        text = why.decode()
        offset = self.offset
        if self.stage == IN_VALUE and self.key is not None:
            text = f"key {shown(self.key)} in database {self.db.id}: {text}"
        raise RdbRefused(offset, text)

    cdef int fail(self, const char* why) noexcept:
        self.fault = why
        return FAULTY

    cdef int read_item(self) except -2:
        """One thing whole (DECODED), or nothing."""
        cdef int rc, opcode
        cdef uint64_t seal = 0
        cdef Keyspace* ks = &self.engine.ks
        if self.stage == IN_VALUE:
            rc = decode_value(&self.decoder, self.type)     # letting the GIL go for each would cost more
            if rc == FAULTY and self.decoder.empty:
                # Redis leaves such keys out as well: a bug of old versions wrote them.
                self.decoder.empty = False
                self.decoder.fault = NULL
                self.empty += 1
                self.forget_key()
                return DECODED
            return self.keep(ks) if rc == DECODED else rc
        if self.stage == AT_ITEM:
            if self.decoder.at == self.decoder.end:
                return NEEDS_MORE
            opcode = self.decoder.at[0]
            self.decoder.at += 1
            if opcode >= RDB_SLOT_INFO:
                return self.read_opcode(opcode)
            self.type = opcode
            return self.read_key()
        if self.stage == AT_MAGIC:
            return self.read_head()
        rc = read_fixed64(&self.decoder, &seal)
        if rc == DECODED:
            if seal and self.check_seal and seal != self.crc:
                return self.fail(b"the checksum is wrong: the file is damaged")
            self.stage = AT_END
            self.ended = True
        return rc

    cdef int read_head(self) except -2:
        cdef const uint8_t* p = self.decoder.at
        cdef int i, version = 0
        if self.decoder.end - p < HEAD_BYTES:
            return NEEDS_MORE
        if memcmp(p, b"REDIS", 5) != 0:
            return self.fail(b"it does not begin with REDIS: this is no RDB")
        for i in range(5, 9):
            if not c'0' <= p[i] <= c'9':
                return self.fail(b"the version is no number")
            version = version * 10 + p[i] - c'0'
        if not 1 <= version <= RDB_VERSION_READ:
            return self.fail(b"a version of the format that is not known here (1 to 12 are)")
        self.version = version
        self.decoder.at += HEAD_BYTES
        self.stage = AT_ITEM
        return DECODED

    cdef int read_key(self) except -2:
        cdef char digits[24]
        cdef Slice key
        cdef int rc = read_string(&self.decoder, &key, digits, 0)
        if rc != DECODED:
            return rc
        self.key = slice_bytes(key)
        self.stage = IN_VALUE
        self.key_at = self.offset
        if foreign_type(self.type) != NULL:
            return self.refuse_type(foreign_type(self.type))
        return DECODED

    cdef int refuse_type(self, const char* name) except -2:
        where = f"key {shown(self.key)} in database {self.db.id}"
        what = f"{name.decode()} (type {self.type})"
        raise RdbRefused(self.offset, f"{where} is {what}, which is not supported here")

    cdef void forget_key(self) noexcept:
        self.key = None
        self.expire_ms = -1
        self.idle_s = -1
        self.frequency = -1
        self.stage = AT_ITEM

    cdef int keep(self, Keyspace* ks) except -2:
        """The value under way is whole: store it."""
        cdef size_t before = self.db.keys
        cdef Record* r
        cdef uint32_t minutes
        if self.skip_expired and self.expire_ms >= 0 and self.expire_ms < ks.now_ms:
            drop_decoded(&self.decoder)
            self.expired += 1
            self.forget_key()
            return DECODED
        r = store_decoded(&self.decoder, ks, self.db, slice_of(self.key), self.expire_ms)
        if self.db.keys == before:
            return self.fail(b"the key comes twice")
        if ks.lfu and self.frequency >= 0:
            minutes = <uint32_t>((ks.now_ms // 60000) & 0xFFFF)
            record_set_lru(r, (minutes << 8) | <uint32_t>self.frequency)
        elif not ks.lfu and self.idle_s >= 0:
            record_set_lru(r, (ks.lru_clock - <uint32_t>self.idle_s) & 0xFFFFFF)
        self.keys += 1
        if self.expire_ms >= 0:
            self.volatile += 1
        self.forget_key()
        return DECODED

    cdef int read_opcode(self, int opcode) except -2:
        cdef char digits[24]
        cdef char more_digits[24]
        cdef Slice name, value
        cdef uint64_t n = 0, m = 0
        cdef int rc
        if opcode == RDB_EXPIRE_MS:
            rc = read_fixed64(&self.decoder, &n)
            if rc == DECODED:
                self.expire_ms = <int64_t>n if <int64_t>n >= 0 else 0
            return rc
        if opcode == RDB_EXPIRE_SECONDS:
            if self.decoder.end - self.decoder.at < 4:
                return NEEDS_MORE
            n = (self.decoder.at[0] | <uint32_t>self.decoder.at[1] << 8 | <uint32_t>self.decoder.at[2] << 16
                 | <uint32_t>self.decoder.at[3] << 24)
            self.expire_ms = <int64_t><int32_t>n * 1000 if <int32_t>n >= 0 else 0
            self.decoder.at += 4
            return DECODED
        if opcode == RDB_IDLE:
            rc = read_length(&self.decoder, &n, NULL)
            self.idle_s = <int64_t>(n if n < 0xFFFFFF else 0xFFFFFF)
            return rc
        if opcode == RDB_FREQ:
            if self.decoder.at == self.decoder.end:
                return NEEDS_MORE
            self.frequency = self.decoder.at[0]
            self.decoder.at += 1
            return DECODED
        if opcode == RDB_SELECTDB:
            rc = read_length(&self.decoder, &n, NULL)
            if rc == DECODED:
                if n >= <uint64_t>self.engine.ks.db_count:
                    why = f"database {n} does not exist here: raise `databases` above it"
                    raise RdbRefused(self.offset, why)
                self.db = &self.engine.ks.dbs[n]
            return rc
        if opcode == RDB_RESIZEDB:
            rc = read_length(&self.decoder, &n, NULL)
            if rc == DECODED:
                rc = read_length(&self.decoder, &m, NULL)
            if rc == DECODED:
                self.make_room(n)
            return rc
        if opcode == RDB_SLOT_INFO:
            for _ in range(3):
                rc = read_length(&self.decoder, &n, NULL)
                if rc != DECODED:
                    return rc
            return DECODED
        if opcode == RDB_AUX:
            rc = read_string(&self.decoder, &name, digits, 0)
            if rc == DECODED:
                rc = read_string(&self.decoder, &value, more_digits, 1)
            if rc == DECODED:
                self.fields[slice_bytes(name)] = slice_bytes(value)
                if slice_bytes(name) == b"repl-id":
                    # The file says where it stands in a stream. Replicas that go on from there hold its
                    # expired keys, too: they may go only by a DEL in that stream.
                    self.skip_expired = False
            return rc
        if opcode == RDB_FUNCTION:
            rc = read_string(&self.decoder, &value, digits, 0)
            if rc == DECODED:
                self.functions.append(slice_bytes(value))
            return rc
        if opcode == RDB_EOF:
            if self.version >= SEAL_SINCE_VERSION:
                self.stage = AT_SEAL
            else:
                self.stage = AT_END
                self.ended = True
            return DECODED
        if opcode == RDB_MODULE_AUX:
            return self.read_module_aux()
        return self.fail(b"function libraries of a 7.0 release candidate are not supported")

    cdef int read_module_aux(self) except -2:
        """Data of a module beside the keys: passed over if it may be, as Redis does with modules it lacks."""
        cdef char digits[24]
        cdef Slice text
        cdef uint64_t n = 0
        cdef int rc = DECODED
        for _ in range(3):                  # id, opcode and value of `when`
            rc = read_length(&self.decoder, &n, NULL)
            if rc != DECODED:
                return rc
        while True:
            rc = read_length(&self.decoder, &n, NULL)
            if rc != DECODED or n == 0:
                return rc
            if n == 1 or n == 2:            # an integer
                rc = read_length(&self.decoder, &n, NULL)
            elif n == 3 or n == 4:          # a float, a double
                n = 4 if n == 3 else 8
                rc = NEEDS_MORE
                if <uint64_t>(self.decoder.end - self.decoder.at) >= n:
                    self.decoder.at += n
                    rc = DECODED
            elif n == 5:
                rc = read_string(&self.decoder, &text, digits, 0)
            else:
                return self.fail(b"unknown data of a module")
            if rc != DECODED:
                return rc

    cdef int make_room(self, uint64_t keys) except -2:
        """Let the table grow once for the keys to come, as far as the file can hold them."""
        cdef uint64_t most = KEYS_TRUSTED
        self.keys_told += keys
        if self.total_bytes >= 0:
            most = <uint64_t>self.total_bytes // RECORD_BYTES_LEAST
        if self.db.tables == 1 and self.db.keys == 0:
            table_expand(&self.engine.ks.heap, self.db.table, keys if keys < most else most)
        return DECODED


def shown(name):
    """Return a key as text for people, long ones cut."""
    return repr(name[:64])[1:] + ("…" if len(name) > 64 else "")
