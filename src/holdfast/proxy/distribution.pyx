"""Which of a pool's servers a hash belongs to: ketama, modula, random.

What it is: the three layouts of twemproxy, point for point: a ketama circle of
160 points a server, shared out by weight and named NAME-0, NAME-1 and so on
under MD5 (four points each); a row in which modula counts a server once a unit
of weight; and random. What it is not: the order of the servers, which decides
with modula and which `config` makes (by length of the name, then by its bytes).

How to read it: `rebuild` lays out, `dispatch` looks up. The arithmetic of the
shares is in single precision, as there: a weight of 1 in 3 has to round alike.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport abort, free, malloc
from libc.math cimport floorf
from holdfast.proxy.key_hashes cimport md5

NAMES = ("ketama", "modula", "random")

cdef enum:
    POINTS_PER_SERVER = 160
    POINTS_PER_HASH = 4
    PARTS = 4096
    PART_SHIFT = 20             # 32 bits - 12
    WHOLE = 1 << 30             # in `starts`: the part has no points, all of it is this server's


cdef class Distribution:
    """The circle (ketama) or the row (modula, random) of a pool's living servers."""

    def __cinit__(self, str name, uint64_t seed=1):
        self.name = name
        self.kind = KETAMA if name == "ketama" else MODULA if name == "modula" else RANDOM
        if name not in NAMES:
            raise ValueError(f"no such distribution: {name}")
        self.luck = seed | 1

    def __dealloc__(self):
        self.clear()

    cdef void clear(self) noexcept:
        free(self.points)
        free(self.starts)
        self.points = NULL
        self.starts = NULL
        self.point_count = 0

    def rebuild(self, servers, live):
        """Lay out the servers, (name, weight) each, that are alive."""
        cdef list points = []
        cdef uint32_t total = sum(weight for (_, weight), alive in zip(servers, live) if alive)
        cdef int alive_count = sum(1 for alive in live if alive)
        cdef uint32_t index
        cdef Py_ssize_t i
        for index, (name, weight) in enumerate(servers):
            if not live[index]:
                continue
            if self.kind == KETAMA:
                points += ketama_points(name, share(weight, total, alive_count), index)
            else:
                points += [(0, index)] * (weight if self.kind == MODULA else 1)
        if self.kind == KETAMA:
            points.sort(key=lambda point: point[0])     # stable: equal points keep the servers' order
        self.clear()
        if not points:
            return
        self.points = <Point*>malloc(len(points) * sizeof(Point))
        if self.points == NULL:
            abort()
        for i in range(len(points)):
            self.points[i].value, self.points[i].index = points[i]
        self.point_count = <uint32_t>len(points)
        if self.kind == KETAMA:
            self.index_circle()

    def index_circle(self):
        """Note of each 4096th of the circle whose it is; where points lie in it, the first of them."""
        cdef uint32_t part, at = 0
        self.starts = <uint32_t*>malloc(PARTS * sizeof(uint32_t))
        if self.starts == NULL:
            abort()
        for part in range(PARTS):
            while at < self.point_count and self.points[at].value < (part << PART_SHIFT):
                at += 1
            if at == self.point_count:
                self.starts[part] = WHOLE | self.points[0].index
            elif self.points[at].value >> PART_SHIFT != part:
                self.starts[part] = WHOLE | self.points[at].index
            else:
                self.starts[part] = at

    cdef uint32_t dispatch(self, uint32_t hashed) noexcept nogil:
        cdef uint32_t at
        if self.kind == MODULA:
            return self.points[hashed % self.point_count].index
        if self.kind == RANDOM:
            self.luck = self.luck * 6364136223846793005u + 1442695040888963407u
            return self.points[<uint32_t>(self.luck >> 33) % self.point_count].index
        at = self.starts[hashed >> PART_SHIFT]
        if at & WHOLE:
            return at & ~<uint32_t>WHOLE
        while at < self.point_count and self.points[at].value < hashed:
            at += 1
        return self.points[at if at < self.point_count else 0].index

    def server_of(self, uint32_t hashed):
        """Return the index of the server of a hash."""
        if self.point_count == 0:
            raise ValueError("no server is alive")
        return self.dispatch(hashed)


cdef uint32_t share(uint32_t weight, uint32_t total, int alive_count):
    """Points of a server on the circle: its part of 160 for each server, in fours."""
    cdef float part = <float>weight / <float>total
    return <uint32_t>(
        floorf(<float>(part * POINTS_PER_SERVER / 4 * <float>alive_count + 0.0000000001)) * 4)


cdef list ketama_points(bytes name, uint32_t count, uint32_t index):
    cdef unsigned char digest[16]
    cdef list points = []
    cdef bytes host
    cdef uint32_t at
    cdef int k
    for at in range(count // POINTS_PER_HASH):
        host = b"%s-%d" % (name, at)
        md5(<const unsigned char*><const char*>host, len(host), digest)
        for k in range(POINTS_PER_HASH):
            points.append((
                <uint32_t>digest[4 * k] | (<uint32_t>digest[4 * k + 1] << 8)
                | (<uint32_t>digest[4 * k + 2] << 16) | (<uint32_t>digest[4 * k + 3] << 24), index))
    return points
