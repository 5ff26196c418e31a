"""The table: byte strings to entries, the base of keyspaces, hashes, sets and sorted sets.

What it is: a bucketed hash table with incremental resize. What it is not: an
owner of its entries (the caller allocates and frees them), nor thread-safe.

How to read it: `find` shows the layout at work; `_start_resize` and
`table_step` the resize; `table_scan` the cursor, whose guarantee rests on one
fact: an entry only ever moves between the bucket `i` of a table of 2^k buckets
and the buckets `i` and `i + 2^k` of its double, and the cursor counts buckets
with their bits reversed (as Redis's dictScan does), so that splitting or
joining buckets never moves an entry from "not yet visited" to behind the cursor.

Memory: 64 bytes hold seven pointers. The table doubles when it holds seven
entries a bucket on average (some chains then have a child bucket) and halves
when it holds less than one. Emptied pages of a large old table are given back
while it is being moved, so that the end of a resize does not stall.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from holdfast.engine.heap cimport Heap, heap_free, heap_size, heap_zalloc

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #include <sys/mman.h>
    static inline uint64_t hf_rotl(uint64_t x, int b) { return (x << b) | (x >> (64 - b)); }
    #define HF_ROUND do { \
        v0 += v1; v1 = hf_rotl(v1, 13); v1 ^= v0; v0 = hf_rotl(v0, 32); \
        v2 += v3; v3 = hf_rotl(v3, 16); v3 ^= v2; \
        v0 += v3; v3 = hf_rotl(v3, 21); v3 ^= v0; \
        v2 += v1; v1 = hf_rotl(v1, 17); v1 ^= v2; v2 = hf_rotl(v2, 32); } while (0)
    /* SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF"). */
    static inline uint64_t hf_siphash(const char *p, size_t n, uint64_t k0, uint64_t k1) {
        uint64_t v0 = 0x736f6d6570736575ULL ^ k0, v1 = 0x646f72616e646f6dULL ^ k1;
        uint64_t v2 = 0x6c7967656e657261ULL ^ k0, v3 = 0x7465646279746573ULL ^ k1;
        uint64_t m, b = ((uint64_t)n) << 56;
        const char *end = p + (n & ~(size_t)7);
        for (; p != end; p += 8) { memcpy(&m, p, 8); v3 ^= m; HF_ROUND; v0 ^= m; }
        switch (n & 7) {
            case 7: b |= ((uint64_t)(uint8_t)p[6]) << 48; /* fall through */
            case 6: b |= ((uint64_t)(uint8_t)p[5]) << 40; /* fall through */
            case 5: b |= ((uint64_t)(uint8_t)p[4]) << 32; /* fall through */
            case 4: { uint32_t w; memcpy(&w, p, 4); b |= w; break; }
            case 3: b |= ((uint64_t)(uint8_t)p[2]) << 16; /* fall through */
            case 2: b |= ((uint64_t)(uint8_t)p[1]) << 8; /* fall through */
            case 1: b |= ((uint64_t)(uint8_t)p[0]);
        }
        v3 ^= b; HF_ROUND; v0 ^= b; v2 ^= 0xff;
        HF_ROUND; HF_ROUND; HF_ROUND;
        return v0 ^ v1 ^ v2 ^ v3;
    }
    /* Equal bytes; keys are short, and a call of memcmp costs more than comparing them. */
    static inline int hf_same(const char *a, const char *b, size_t n) {
        uint64_t x, y;
        if (n > 32) return memcmp(a, b, n) == 0;
        for (; n >= 8; n -= 8, a += 8, b += 8) {
            memcpy(&x, a, 8); memcpy(&y, b, 8);
            if (x != y) return 0;
        }
        for (; n; n--) if (*a++ != *b++) return 0;
        return 1;
    }
    #define HF_LOW  0x0101010101010101ULL
    #define HF_HIGH 0x8080808080808080ULL
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "Holdfast needs a little-endian machine"
    #endif
    /* Bit i of the result: tag i may equal `tag` and slot i holds an entry. */
    static inline unsigned hf_match(const void *bucket, uint8_t tag) {
        uint64_t head, x; unsigned taken, bits = 0;
        memcpy(&head, bucket, 8);
        taken = (unsigned)(head & 0x7f);
        if (head & 0x80) taken &= 0x3f;
        x = (head >> 8) ^ (HF_LOW * tag);
        x = (x - HF_LOW) & ~x & HF_HIGH;
        /* gather the high bits of the seven tag bytes */
        bits = (unsigned)(((x >> 7) * 0x0102040810204080ULL) >> 56);
        return bits & taken;
    }
    #define hf_prefetch(p) __builtin_prefetch(p)
    #define hf_ctz(x) __builtin_ctz(x)
    #define hf_popcount(x) __builtin_popcount(x)
    static inline void hf_release_pages(char *from, char *to) {
        uintptr_t a = ((uintptr_t)from + 4095) & ~(uintptr_t)4095, b = (uintptr_t)to & ~(uintptr_t)4095;
        if (b > a) madvise((void *)a, b - a, MADV_DONTNEED);
    }
    static inline uint64_t hf_reverse(uint64_t v) {
        v = ((v >> 1) & 0x5555555555555555ULL) | ((v & 0x5555555555555555ULL) << 1);
        v = ((v >> 2) & 0x3333333333333333ULL) | ((v & 0x3333333333333333ULL) << 2);
        v = ((v >> 4) & 0x0f0f0f0f0f0f0f0fULL) | ((v & 0x0f0f0f0f0f0f0f0fULL) << 4);
        return __builtin_bswap64(v);
    }
    """
    uint64_t hf_siphash(const char* p, size_t n, uint64_t k0, uint64_t k1) noexcept nogil
    bint hf_same(const char* a, const char* b, size_t n) noexcept nogil
    unsigned hf_match(const void* bucket, uint8_t tag) noexcept nogil
    void hf_prefetch(const void* p) noexcept nogil
    int hf_ctz(unsigned x) noexcept nogil
    int hf_popcount(unsigned x) noexcept nogil
    void hf_release_pages(char* start, char* end) noexcept nogil
    uint64_t hf_reverse(uint64_t v) noexcept nogil

cdef enum:
    CHILD = 0x80            # presence bit: the last slot leads to a child bucket
    TAKEN = 0x7F
    LAST = 6                # index of the last slot
    RELEASE_BUCKETS = 4096  # give back the pages of an old table in steps of 256 KiB
    FAIR_CHAIN = 14         # entries of a chain that table_random weighs fairly


cdef uint64_t siphash(const char* p, size_t n, HashKey* key) noexcept nogil:
    return hf_siphash(p, n, key.k0, key.k1)


cdef uint64_t random_u64(uint64_t* rng) noexcept nogil:
    """Next number of a splitmix64 generator (Steele, Lea, Flood 2014)."""
    cdef uint64_t z
    rng[0] += <uint64_t>0x9E3779B97F4A7C15
    z = rng[0]
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline uint8_t tag_of(uint64_t hashed) noexcept nogil:
    return <uint8_t>(hashed >> 56)


cdef inline const char* key_of(Table* t, void* entry) noexcept nogil:
    return <const char*>entry + t.key_offset


cdef inline uint32_t key_length(void* entry) noexcept nogil:
    return (<uint32_t*>entry)[0]


cdef inline size_t mask_of(Table* t, int which) noexcept nogil:
    return (<size_t>1 << t.bits[which]) - 1


cdef inline Bucket* child_of(Bucket* b) noexcept nogil:
    return <Bucket*>b.slots[LAST] if b.present & CHILD else NULL


cdef inline unsigned taken_of(Bucket* b) noexcept nogil:
    """Presence bits of the entries (a child link is not an entry)."""
    return b.present & (0x3F if b.present & CHILD else TAKEN)


cdef void table_init(Table* t, int key_offset, HashKey* seed) noexcept nogil:
    t.buckets[0] = NULL
    t.buckets[1] = NULL
    t.bits[0] = 0
    t.bits[1] = 0
    t.key_offset = <uint8_t>key_offset
    t.count[0] = 0
    t.count[1] = 0
    t.moving = -1
    t.paused = 0
    t.seed = seed


cdef void free_children(Heap* h, Bucket* b) noexcept nogil:
    cdef Bucket* child = child_of(b)
    cdef Bucket* after
    while child != NULL:
        after = child_of(child)
        heap_free(h, child)
        child = after


cdef void table_clear(Heap* h, Table* t) noexcept nogil:
    cdef int which
    cdef size_t i
    for which in range(2):
        if t.buckets[which] == NULL:
            continue
        i = <size_t>t.moving if which == 0 and t.moving > 0 else 0
        while i <= mask_of(t, which):
            free_children(h, &t.buckets[which][i])
            i += 1
        heap_free(h, t.buckets[which])
    table_init(t, t.key_offset, t.seed)


cdef size_t table_bytes(Table* t) noexcept nogil:
    """Bytes of the bucket arrays (child buckets, a few per cent, are left out)."""
    return heap_size(t.buckets[0]) + heap_size(t.buckets[1])


# ---- looking up ----

cdef inline void** find_in(Table* t, Bucket* b, const char* p, size_t n, uint8_t tag) noexcept nogil:
    cdef unsigned match
    cdef int i
    cdef void* entry
    while b != NULL:
        match = hf_match(b, tag)
        while match:
            i = hf_ctz(match)
            match &= match - 1
            entry = b.slots[i]
            if key_length(entry) == n and hf_same(key_of(t, entry), p, n):
                return &b.slots[i]
        b = child_of(b)
    return NULL


cdef void** table_find(Table* t, const char* p, size_t n, uint64_t hashed) noexcept nogil:
    cdef void** slot
    cdef size_t index
    if t.buckets[0] == NULL:
        return NULL
    index = hashed & mask_of(t, 0)
    if t.moving < 0:
        return find_in(t, &t.buckets[0][index], p, n, tag_of(hashed))
    if index >= <size_t>t.moving:
        slot = find_in(t, &t.buckets[0][index], p, n, tag_of(hashed))
        if slot != NULL:
            return slot
    return find_in(t, &t.buckets[1][hashed & mask_of(t, 1)], p, n, tag_of(hashed))


cdef inline Bucket* bucket_of(Table* t, uint64_t hashed) noexcept nogil:
    """Where the key's chain most likely is."""
    cdef size_t index = hashed & mask_of(t, 0)
    if t.moving >= 0 and index < <size_t>t.moving:
        return &t.buckets[1][hashed & mask_of(t, 1)]
    return &t.buckets[0][index]


cdef void table_prefetch_bucket(Table* t, uint64_t hashed) noexcept nogil:
    if t.buckets[0] != NULL:
        hf_prefetch(bucket_of(t, hashed))


cdef void table_prefetch_entry(Table* t, uint64_t hashed) noexcept nogil:
    cdef Bucket* b
    cdef unsigned match
    cdef char* entry
    if t.buckets[0] == NULL:
        return
    b = bucket_of(t, hashed)
    match = hf_match(b, tag_of(hashed))
    if match:
        entry = <char*>b.slots[hf_ctz(match)]
        hf_prefetch(entry - 8)      # the allocator's size of the block, and the head of the entry
        hf_prefetch(entry + 56)
    elif b.present & CHILD:
        hf_prefetch(b.slots[LAST])


# ---- editing ----

cdef void add_to(Heap* h, Bucket* b, void* entry, uint8_t tag) noexcept nogil:
    cdef unsigned room
    cdef int i
    cdef Bucket* child
    while True:
        room = ~b.present & (0x3F if b.present & CHILD else TAKEN)
        if room:
            i = hf_ctz(room)
            b.slots[i] = entry
            b.tags[i] = tag
            b.present |= <uint8_t>(1 << i)
            return
        if not b.present & CHILD:
            child = <Bucket*>heap_zalloc(h, sizeof(Bucket))
            child.present = 1
            child.tags[0] = b.tags[LAST]
            child.slots[0] = b.slots[LAST]
            b.slots[LAST] = child
            b.present = 0x3F | CHILD
        b = child_of(b)


cdef void table_add(Heap* h, Table* t, void* entry, uint64_t hashed) noexcept nogil:
    cdef int which = 0
    if t.moving >= 0:
        table_step(h, t, 1)
    if t.buckets[0] == NULL:
        t.buckets[0] = <Bucket*>heap_zalloc(h, sizeof(Bucket))
        t.bits[0] = 0
    elif t.moving < 0 and t.count[0] >= (<size_t>7 << t.bits[0]):
        start_resize(h, t, t.bits[0] + 1)
    if t.moving >= 0:
        which = 1
    add_to(h, &t.buckets[which][hashed & mask_of(t, which)], entry, tag_of(hashed))
    t.count[which] += 1


cdef void* pop_from(Heap* h, Table* t, Bucket* top, const char* p, size_t n, uint8_t tag) noexcept nogil:
    """Take the entry out; the last entry of the chain fills the hole."""
    cdef void** slot = find_in(t, top, p, n, tag)
    cdef void* entry
    cdef Bucket* b = top
    cdef Bucket* parent = NULL
    cdef int i, last
    if slot == NULL:
        return NULL
    entry = slot[0]
    while not (b.slots <= slot and slot < b.slots + 7):
        b = child_of(b)
    i = <int>(slot - b.slots)
    if not b.present & CHILD:
        b.present &= <uint8_t>(~(1 << i))
        if b == top or b.present & TAKEN:
            return entry
    # The hole is in the middle of a chain, or the last bucket became empty.
    parent = top
    while child_of(parent) != NULL and child_of(child_of(parent)) != NULL:
        parent = child_of(parent)
    if b.present & CHILD:
        b.present &= <uint8_t>(~(1 << i))
        last = 31 - <int>__builtin_clz(taken_of(child_of(parent)))
        b.slots[i] = child_of(parent).slots[last]
        b.tags[i] = child_of(parent).tags[last]
        b.present |= <uint8_t>(1 << i)
        child_of(parent).present &= <uint8_t>(~(1 << last))
    if not taken_of(child_of(parent)):
        heap_free(h, child_of(parent))
        parent.present = 0x3F
    return entry


cdef extern from *:
    int __builtin_clz(unsigned x) noexcept nogil


cdef void* table_pop(Heap* h, Table* t, const char* p, size_t n, uint64_t hashed) noexcept nogil:
    cdef void* entry
    cdef size_t index
    if t.buckets[0] == NULL:
        return NULL
    if t.moving >= 0:
        table_step(h, t, 1)
    index = hashed & mask_of(t, 0)
    if t.moving < 0 or index >= <size_t>t.moving:
        entry = pop_from(h, t, &t.buckets[0][index], p, n, tag_of(hashed))
        if entry != NULL:
            t.count[0] -= 1
            return entry
    if t.moving >= 0:
        entry = pop_from(h, t, &t.buckets[1][hashed & mask_of(t, 1)], p, n, tag_of(hashed))
        if entry != NULL:
            t.count[1] -= 1
            return entry
    return NULL


# ---- resizing ----

cdef void start_resize(Heap* h, Table* t, int bits) noexcept nogil:
    t.buckets[1] = <Bucket*>heap_zalloc(h, sizeof(Bucket) << bits)
    t.bits[1] = <uint8_t>bits
    t.count[1] = 0
    t.moving = 0
    if t.count[0] == 0:
        table_step(h, t, 1 << 30)


cdef void finish_resize(Heap* h, Table* t) noexcept nogil:
    heap_free(h, t.buckets[0])
    t.buckets[0] = t.buckets[1]
    t.bits[0] = t.bits[1]
    t.count[0] = t.count[1]
    t.buckets[1] = NULL
    t.bits[1] = 0
    t.count[1] = 0
    t.moving = -1


cdef void move_chain(Heap* h, Table* t, Bucket* b) noexcept nogil:
    cdef Bucket* top = b
    cdef unsigned taken
    cdef int i
    cdef uint64_t hashed
    while b != NULL:
        taken = taken_of(b)
        while taken:
            hf_prefetch(b.slots[hf_ctz(taken)])
            taken &= taken - 1
        taken = taken_of(b)
        while taken:
            i = hf_ctz(taken)
            taken &= taken - 1
            hashed = siphash(key_of(t, b.slots[i]), key_length(b.slots[i]), t.seed)
            add_to(h, &t.buckets[1][hashed & mask_of(t, 1)], b.slots[i], tag_of(hashed))
            t.count[0] -= 1
            t.count[1] += 1
        b = child_of(b)
    free_children(h, top)
    top.present = 0


cdef bint table_step(Heap* h, Table* t, int buckets) noexcept nogil:
    cdef int empty_visits = 0
    if t.moving < 0:
        return False
    if t.paused:
        return True
    while buckets > 0:
        if t.moving > <int64_t>mask_of(t, 0):
            finish_resize(h, t)
            return False
        if t.buckets[0][t.moving].present:
            move_chain(h, t, &t.buckets[0][t.moving])
            buckets -= 1
        else:
            empty_visits += 1
            if empty_visits == 16:
                empty_visits = 0
                buckets -= 1
        t.moving += 1
        if t.moving % RELEASE_BUCKETS == 0:
            hf_release_pages(
                <char*>&t.buckets[0][t.moving - RELEASE_BUCKETS], <char*>&t.buckets[0][t.moving])
    return True


cdef int bits_for(size_t entries) noexcept nogil:
    cdef int bits = 0
    while (<size_t>7 << bits) < entries:
        bits += 1
    return bits


cdef void table_expand(Heap* h, Table* t, size_t entries) noexcept nogil:
    cdef int bits = bits_for(entries)
    if t.moving >= 0 or t.paused:
        return
    if t.buckets[0] == NULL:
        t.buckets[0] = <Bucket*>heap_zalloc(h, sizeof(Bucket) << bits)
        t.bits[0] = <uint8_t>bits
    elif bits > t.bits[0]:
        start_resize(h, t, bits)


cdef void table_shrink(Heap* h, Table* t) noexcept nogil:
    cdef int bits
    if t.moving >= 0 or t.paused or t.buckets[0] == NULL or t.bits[0] == 0:
        return
    if t.count[0] >= (<size_t>1 << t.bits[0]):
        return
    bits = bits_for(t.count[0] + t.count[0] // 2)
    if bits < t.bits[0]:
        start_resize(h, t, bits)


cdef int drain_chain(Heap* h, Bucket* top, release_t release, void* arg) noexcept nogil:
    cdef Bucket* b = top
    cdef unsigned taken
    cdef int n = 0
    while b != NULL:
        taken = taken_of(b)
        while taken:
            release(b.slots[hf_ctz(taken)], arg)
            taken &= taken - 1
            n += 1
        b = child_of(b)
    free_children(h, top)
    top.present = 0
    return n


cdef bint table_drain(
        Heap* h, Table* t, size_t* at, release_t release, void* arg, int entries) noexcept nogil:
    cdef size_t first = mask_of(t, 0) + 1 if t.buckets[0] != NULL else 0
    cdef size_t total = first + (mask_of(t, 1) + 1 if t.buckets[1] != NULL else 0)
    cdef size_t i
    cdef int which, empty_visits = 0
    while at[0] < total:
        if entries <= 0:
            return True
        which = 0 if at[0] < first else 1
        i = at[0] if which == 0 else at[0] - first
        if t.buckets[which][i].present:
            entries -= drain_chain(h, &t.buckets[which][i], release, arg)
        else:
            empty_visits += 1
            if empty_visits & 15 == 0:
                entries -= 1
        at[0] += 1
        i += 1
        if i % RELEASE_BUCKETS == 0:
            hf_release_pages(<char*>&t.buckets[which][i - RELEASE_BUCKETS], <char*>&t.buckets[which][i])
    heap_free(h, t.buckets[0])
    heap_free(h, t.buckets[1])
    table_init(t, t.key_offset, t.seed)
    return False


# ---- walking ----

cdef void visit_chain(Bucket* b, visit_t visit, void* arg) noexcept nogil:
    cdef unsigned taken
    cdef int i
    while b != NULL:
        taken = taken_of(b)
        while taken:
            i = hf_ctz(taken)
            taken &= taken - 1
            visit(b.slots[i], &b.slots[i], arg)
        b = child_of(b)


cdef uint64_t advance(uint64_t cursor, uint64_t mask) noexcept nogil:
    """Add one to the cursor's masked bits, counted from the highest down."""
    cursor |= ~mask
    return hf_reverse(hf_reverse(cursor) + 1)


cdef uint64_t table_scan(Table* t, uint64_t cursor, visit_t visit, void* arg) noexcept nogil:
    cdef uint64_t small_mask, large_mask
    cdef int small, large
    if table_count(t) == 0:
        return 0
    t.paused += 1
    if t.moving < 0:
        small_mask = mask_of(t, 0)
        visit_chain(&t.buckets[0][cursor & small_mask], visit, arg)
        cursor = advance(cursor, small_mask)
    else:
        small = 0 if t.bits[0] <= t.bits[1] else 1
        large = 1 - small
        small_mask = mask_of(t, small)
        large_mask = mask_of(t, large)
        visit_chain(&t.buckets[small][cursor & small_mask], visit, arg)
        while True:
            visit_chain(&t.buckets[large][cursor & large_mask], visit, arg)
            cursor = advance(cursor, large_mask)
            if not cursor & (small_mask ^ large_mask):
                break
    t.paused -= 1
    return cursor


cdef int chain_count(Bucket* b) noexcept nogil:
    cdef int n = 0
    while b != NULL:
        n += hf_popcount(taken_of(b))
        b = child_of(b)
    return n


cdef void* chain_at(Bucket* b, int index) noexcept nogil:
    cdef unsigned taken
    cdef int n
    while b != NULL:
        taken = taken_of(b)
        n = hf_popcount(taken)
        if index < n:
            while index:
                taken &= taken - 1
                index -= 1
            return b.slots[hf_ctz(taken)]
        index -= n
        b = child_of(b)
    return NULL


cdef inline Bucket* random_bucket(Table* t, uint64_t* rng) noexcept nogil:
    cdef size_t total = mask_of(t, 0) + 1
    cdef size_t start = 0
    cdef size_t i
    if t.moving < 0:
        return &t.buckets[0][random_u64(rng) & (total - 1)]
    start = <size_t>t.moving
    i = start + random_u64(rng) % (total - start + mask_of(t, 1) + 1)
    return &t.buckets[0][i] if i < total else &t.buckets[1][i - total]


cdef void* table_random(Table* t, uint64_t* rng) noexcept nogil:
    cdef Bucket* b
    cdef int _tries, n
    cdef uint32_t draw
    cdef TableCursor c
    cdef void* found = NULL
    cdef size_t skip
    if table_count(t) == 0:
        return NULL
    for _tries in range(4096):
        b = random_bucket(t, rng)
        if not b.present:
            continue
        n = chain_count(b)
        draw = <uint32_t>(random_u64(rng) % <uint64_t>(FAIR_CHAIN if n < FAIR_CHAIN else n))
        if draw < <uint32_t>n:
            return chain_at(b, draw)
    # A nearly empty table (a resize of it is due): count to a random entry.
    skip = random_u64(rng) % table_count(t)
    table_walk(t, &c)
    found = table_walk_next(&c)
    while skip:
        found = table_walk_next(&c)
        skip -= 1
    return found


cdef int table_sample(Table* t, void** out, int n, uint64_t* rng) noexcept nogil:
    cdef int got = 0, steps = n * 10, which = 0
    cdef size_t i
    cdef Bucket* b
    cdef unsigned taken
    if table_count(t) == 0:
        return 0
    if <size_t>n > table_count(t):
        n = <int>table_count(t)
        steps = 1 << 30
    b = random_bucket(t, rng)
    which = 0 if b >= t.buckets[0] and b <= t.buckets[0] + mask_of(t, 0) else 1
    i = <size_t>(b - t.buckets[which])
    while got < n and steps:
        steps -= 1
        b = &t.buckets[which][i]
        while b != NULL and got < n:
            taken = taken_of(b)
            while taken and got < n:
                out[got] = b.slots[hf_ctz(taken)]
                got += 1
                taken &= taken - 1
            b = child_of(b)
        i += 1
        if i > mask_of(t, which):
            i = 0
            if t.moving >= 0:
                which = 1 - which
    return got


cdef void table_walk(Table* t, TableCursor* c) noexcept nogil:
    c.table = t
    c.which = 0
    c.index = 0
    c.slot = 0
    c.bucket = t.buckets[0]


cdef void* table_walk_next(TableCursor* c) noexcept nogil:
    cdef int i
    while c.bucket != NULL:
        while c.slot < 7:
            i = c.slot
            c.slot += 1
            if taken_of(c.bucket) & (1 << i):
                return c.bucket.slots[i]
        c.slot = 0
        c.bucket = child_of(c.bucket)
        if c.bucket == NULL:
            c.index += 1
            if c.index > mask_of(c.table, c.which):
                c.index = 0
                c.which += 1
                if c.which == 2 or c.table.buckets[1] == NULL:
                    return NULL
            c.bucket = &c.table.buckets[c.which][c.index]
    return NULL
