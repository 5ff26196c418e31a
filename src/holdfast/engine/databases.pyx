"""Whole databases: made, emptied, exchanged, freed.

What it is: the steps that concern every record of a database, or all databases. What
it is not: single records (`keyspace`), or the commands (`holdfast.commands.databases`).
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset
from holdfast.engine.heap cimport heap_alloc, heap_free, heap_zalloc, hf_prepare_allocator
from holdfast.engine.keyspace cimport (
    DETACHED_RECORDS, GROUPS, Database, Keyspace, ks_before_write)
from holdfast.engine.lazyfree cimport lazy_detach
from holdfast.engine.record cimport RECORD_KEY, Record, free_record
from holdfast.engine.table cimport (
    Table, TableCursor, random_u64, table_bytes, table_clear, table_count, table_init, table_walk,
    table_walk_next)


cdef void keyspace_init(Keyspace* ks, int databases, int tables, uint64_t seed) noexcept nogil:
    cdef int i, j
    cdef Database* db
    hf_prepare_allocator()
    memset(ks, 0, sizeof(Keyspace))
    ks.rng = seed
    ks.seed.k0 = random_u64(&ks.rng)
    ks.seed.k1 = random_u64(&ks.rng)
    ks.lfu_log_factor = 10
    ks.lfu_decay_min = 1
    ks.db_count = databases
    ks.dbs = <Database*>heap_zalloc(&ks.heap, databases * sizeof(Database))
    for i in range(databases):
        db = &ks.dbs[i]
        db.id = i
        db.tables = tables if i == 0 else 1
        db.table = <Table*>heap_zalloc(&ks.heap, db.tables * sizeof(Table))
        if db.tables > 1:
            db.group_keys = <uint32_t*>heap_zalloc(&ks.heap, GROUPS * sizeof(uint32_t))
        for j in range(db.tables):
            table_init(&db.table[j], RECORD_KEY, &ks.seed)


cdef void keyspace_free(Keyspace* ks) noexcept nogil:
    cdef int i
    if ks.dbs == NULL:
        return
    for i in range(ks.db_count):
        free_records(ks, &ks.dbs[i])
        heap_free(&ks.heap, ks.dbs[i].table)
        heap_free(&ks.heap, ks.dbs[i].group_keys)
    heap_free(&ks.heap, ks.dbs)
    ks.dbs = NULL


cdef void walk_rest(Keyspace* ks, Database* db) noexcept nogil:
    """Hand every record that a running snapshot lacks to it."""
    cdef int i
    cdef TableCursor c
    cdef void* entry
    if not ks.walking:
        return
    for i in range(db.tables):
        table_walk(&db.table[i], &c)
        entry = table_walk_next(&c)
        while entry != NULL:
            ks_before_write(ks, db, <Record*>entry)
            entry = table_walk_next(&c)


cdef void forget_records(Keyspace* ks, Database* db) noexcept nogil:
    """The counts of an empty database; its tables are empty or detached already."""
    heap_free(&ks.heap, db.volatile_keys)
    db.volatile_keys = NULL
    db.volatile_count = 0
    db.volatile_cap = 0
    db.keys = 0
    db.avg_ttl_ms = 0
    db.expire_cursor = 0
    if db.group_keys != NULL:
        memset(db.group_keys, 0, GROUPS * sizeof(uint32_t))


cdef void free_records(Keyspace* ks, Database* db) noexcept nogil:
    cdef int i
    cdef TableCursor c
    cdef void* entry
    for i in range(db.tables):
        table_walk(&db.table[i], &c)
        entry = table_walk_next(&c)
        while entry != NULL:
            free_record(&ks.heap, <Record*>entry)
            entry = table_walk_next(&c)
        table_clear(&ks.heap, &db.table[i])
    forget_records(ks, db)


cdef void detach_records(Keyspace* ks, Database* db) noexcept nogil:
    cdef int i
    cdef Table* t
    for i in range(db.tables):
        if db.table[i].buckets[0] == NULL:
            continue
        t = <Table*>heap_alloc(&ks.heap, sizeof(Table))
        t[0] = db.table[i]
        lazy_detach(ks, DETACHED_RECORDS, t, table_count(t), <int64_t>table_bytes(t))
        table_init(&db.table[i], RECORD_KEY, &ks.seed)
    forget_records(ks, db)


cdef void ks_flush(Keyspace* ks, Database* db, bint lazily) noexcept:
    walk_rest(ks, db)
    if lazily:
        detach_records(ks, db)
    else:
        free_records(ks, db)


cdef void ks_swap(Keyspace* ks, Database* a, Database* b) noexcept:
    cdef Database held = a[0]
    walk_rest(ks, a)
    walk_rest(ks, b)
    a[0] = b[0]
    b[0] = held
    b.id = a.id
    a.id = held.id
