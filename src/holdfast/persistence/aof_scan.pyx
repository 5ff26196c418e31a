# cython: language_level=3
"""Framing of append-only files: finds where whole commands end.

It jumps from length to length, looks at nothing but the first argument (for
MULTI and EXEC) and makes no Python object per command, so that a loader can
hand megabytes of whole commands to the engine at once and a checker runs at
the speed of the disk. It executes nothing, reads no file and knows no command
but those two.

How to read it: `scan` is the loop; `command_end` walks one command; `number`
one decimal line. Offsets count from the start of the buffer.
"""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memchr, memcmp

# Why a scan stopped.
END = 0             # the buffer ended after a whole command
END_INSIDE = 1      # the buffer ended inside a command or an annotation
MALFORMED = 2       # `at` cannot be
MOST = 3            # the number of commands asked for was reached
LATER = 4           # the annotation at `last` has a time after the limit

# What cannot be.
FAULT_NONE = 0
FAULT_START = 1         # neither a command nor an annotation starts here
FAULT_ARGUMENT = 2      # an argument must start with '$'
FAULT_NUMBER = 3        # not a decimal number
FAULT_NEWLINE = 4       # CR LF expected
FAULT_COUNT = 5         # a command of no arguments
FAULT_MULTI = 6         # MULTI inside MULTI
FAULT_EXEC = 7          # EXEC without MULTI
FAULT_ANNOTATION = 8    # an annotation longer than 1024 bytes
FAULT_TIME = 9          # a #TS: annotation without a time, when a limit was given

cdef enum:
    C_END = 0
    C_END_INSIDE = 1
    C_MALFORMED = 2
    C_MOST = 3
    C_LATER = 4
    ANNOTATION_LIMIT = 1024
    DIGITS_LIMIT = 18
    OTHER = 0
    MULTI = 1
    EXEC = 2


cdef struct Place:
    const uint8_t* p
    Py_ssize_t n
    Py_ssize_t at       # next byte; the bad one after a fault
    Py_ssize_t wanted
    int fault


cdef class Scan:
    pass


cdef inline int ended(Place* place, Py_ssize_t wanted) noexcept nogil:
    place.at = place.n
    place.wanted = wanted
    return C_END_INSIDE


cdef inline int wrong(Place* place, Py_ssize_t at, int fault) noexcept nogil:
    place.at = at
    place.fault = fault
    return C_MALFORMED


cdef int newline(Place* place) noexcept nogil:
    if place.at >= place.n:
        return ended(place, place.at + 2)
    if place.p[place.at] != 13:
        return wrong(place, place.at, 4)
    if place.at + 1 >= place.n:
        return ended(place, place.at + 2)
    if place.p[place.at + 1] != 10:
        return wrong(place, place.at + 1, 4)
    place.at += 2
    return C_END


cdef int number(Place* place, int64_t* value) noexcept nogil:
    """Reads digits and CR LF."""
    cdef Py_ssize_t first = place.at
    cdef int64_t total = 0
    cdef uint8_t c
    while place.at < place.n:
        c = place.p[place.at]
        if c < 48 or c > 57:
            break
        if place.at - first >= DIGITS_LIMIT:
            return wrong(place, place.at, 3)
        total = total * 10 + (c - 48)
        place.at += 1
    if place.at >= place.n:
        return ended(place, place.n + 2)
    if place.at == first:
        return wrong(place, first, 3)
    value[0] = total
    return newline(place)


cdef inline bint same_word(const uint8_t* p, const char* lower, int n) noexcept nogil:
    cdef int i
    for i in range(n):
        if (p[i] | 32) != <uint8_t>lower[i]:
            return False
    return True


cdef int command_end(Place* place, int* kind) noexcept nogil:
    """Walks one command, whose '*' is at `place.at`."""
    cdef int64_t count = 0, length = 0, i
    cdef int stop
    kind[0] = OTHER
    place.at += 1
    stop = number(place, &count)
    if stop != C_END:
        return stop
    if count == 0:
        return wrong(place, place.at - 3, 5)
    for i in range(count):
        if place.at >= place.n:
            return ended(place, place.n + 4)
        if place.p[place.at] != 36:
            return wrong(place, place.at, 2)
        place.at += 1
        stop = number(place, &length)
        if stop != C_END:
            return stop
        if length > place.n - place.at:
            return ended(place, place.at + length + 2)
        if i == 0:
            if length == 5 and same_word(place.p + place.at, b"multi", 5):
                kind[0] = MULTI
            elif length == 4 and same_word(place.p + place.at, b"exec", 4):
                kind[0] = EXEC
        place.at += length
        stop = newline(place)
        if stop != C_END:
            return stop
    return C_END


cdef int annotation_end(Place* place) noexcept nogil:
    """Walks one annotation line, whose '#' is at `place.at`."""
    cdef Py_ssize_t room = place.n - place.at
    cdef const uint8_t* end = <const uint8_t*>memchr(place.p + place.at, 10, min(room, ANNOTATION_LIMIT))
    if end != NULL:
        place.at = end - place.p + 1
        return C_END
    if room >= ANNOTATION_LIMIT:
        return wrong(place, place.at + ANNOTATION_LIMIT, 8)
    return ended(place, place.n + 1)


cdef int annotation_time(Place* place, Py_ssize_t start, int64_t* seconds) noexcept nogil:
    """Reads the time of the annotation at `start`; -1 when it is of another kind."""
    cdef Place inside
    seconds[0] = -1
    if place.at - start < 5 or memcmp(place.p + start, b"#TS:", 4) != 0:
        return C_END
    inside.p = place.p
    inside.n = place.at
    inside.at = start + 4
    inside.wanted = 0
    inside.fault = 0
    if number(&inside, seconds) != C_END:
        return wrong(place, start, 9)
    return C_END


cpdef Scan scan(
    const unsigned char[::1] buffer,
    Py_ssize_t start=0,
    Py_ssize_t most=-1,
    long long latest=-1,
):
    """Walk whole commands from `start` on and tell where and why the walk ended."""
    cdef Scan found = Scan()
    cdef Place place
    cdef Py_ssize_t safe = start, last = start, commands = 0, held = 0, annotations = 0, held_annotations = 0
    cdef int stop = C_END, kind = OTHER
    cdef int64_t seconds = 0
    cdef bint multi = False
    cdef uint8_t c
    place.n = buffer.shape[0]
    place.p = &buffer[0] if place.n else NULL
    place.at = start
    place.wanted = 0
    place.fault = 0
    with nogil:
        while place.at < place.n:
            if most >= 0 and commands + held >= most:
                stop = C_MOST
                break
            last = place.at
            c = place.p[place.at]
            if c == 42:
                stop = command_end(&place, &kind)
                if stop != C_END:
                    break
                held += 1
                if kind == MULTI:
                    if multi:
                        stop = wrong(&place, last, 6)
                        break
                    multi = True
                elif kind == EXEC:
                    if not multi:
                        stop = wrong(&place, last, 7)
                        break
                    multi = False
            elif c == 35:
                stop = annotation_end(&place)
                if stop != C_END:
                    break
                if latest >= 0:
                    stop = annotation_time(&place, last, &seconds)
                    if stop != C_END:
                        break
                    if seconds > latest:
                        stop = C_LATER
                        break
                held_annotations += 1
            else:
                stop = wrong(&place, last, 1)
                break
            if not multi:
                safe = place.at
                commands += held
                annotations += held_annotations
                held = 0
                held_annotations = 0
        if stop == C_END:
            last = place.at
    found.safe = safe
    found.commands = commands
    found.held = held
    found.annotations = annotations
    found.last = last
    found.at = last if stop == C_LATER else place.at
    found.wanted = place.wanted if stop == C_END_INSIDE else 0
    found.stop = stop
    found.fault = place.fault if stop == C_MALFORMED else 0
    found.multi = multi
    return found


cpdef bytes without_annotations(const unsigned char[::1] buffer, Py_ssize_t end):
    """Return the first `end` bytes, which must be whole commands, without annotation lines."""
    cdef Place place
    cdef Py_ssize_t first
    cdef int kind
    cdef list runs = []
    place.n = end
    place.p = &buffer[0] if end else NULL
    place.at = 0
    place.wanted = 0
    place.fault = 0
    first = 0
    while place.at < end:
        if place.p[place.at] == 35:
            if place.at > first:
                runs.append((<const char*>place.p)[first:place.at])
            if annotation_end(&place) != C_END:
                raise ValueError("not whole commands")
            first = place.at
        elif command_end(&place, &kind) != C_END:
            raise ValueError("not whole commands")
    if end > first:
        runs.append((<const char*>place.p)[first:end])
    return b"".join(runs)


cpdef tuple last_marks(const unsigned char[::1] buffer, Py_ssize_t end):
    """Find the last marks in the first `end` bytes, which must be whole commands.

    Returns the last COPY line, the last AT line behind it (None: there is none), and
    how many commands follow the last of both.
    """
    cdef Place place
    cdef Py_ssize_t first, after = 0
    cdef int kind
    cdef object copy = None, at = None
    place.n = end
    place.p = &buffer[0] if end else NULL
    place.at = 0
    place.wanted = 0
    place.fault = 0
    while place.at < end:
        first = place.at
        if place.p[first] != 35:
            after += 1
            if command_end(&place, &kind) != C_END:
                raise ValueError("not whole commands")
            continue
        if annotation_end(&place) != C_END:
            raise ValueError("not whole commands")
        if place.at - first > 12 and memcmp(place.p + first, b"#HOLDFAST:AT", 12) == 0:
            at = (<const char*>place.p)[first:place.at]
        elif place.at - first > 14 and memcmp(place.p + first, b"#HOLDFAST:COPY", 14) == 0:
            copy, at = (<const char*>place.p)[first:place.at], None
        else:
            continue
        after = 0
    return copy, at, after
