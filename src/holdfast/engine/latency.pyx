"""Histograms of how long commands took: reading them.

What it is: percentiles and the cumulative distribution of one command, as INFO
latencystats and LATENCY HISTOGRAM show them. What it is not: measuring;
`dispatch` calls `latency_add` (latency.pxd) after each command.
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport free
from holdfast.engine.registry cimport find_command
from holdfast.engine.state cimport Command, Engine


cdef uint64_t highest_ns(int place) noexcept nogil:
    """The largest duration that is counted in a place."""
    cdef int shift
    if place < 256:
        return place
    shift = place // 128 - 1
    return ((<uint64_t>(place - shift * 128) + 1) << shift) - 1


cdef Command* measured(Engine e, str name):
    cdef bytes text = name.encode("utf-8", "surrogateescape")
    cdef Command* c = find_command(e, text, len(text))
    return NULL if c == NULL or c.latency == NULL else c


def percentiles_us(Engine engine, str name, wanted):
    """Return the duration in microseconds at each wanted percentile; None before the first call."""
    cdef Command* c = measured(engine, name)
    cdef uint64_t total = 0, seen = 0
    cdef double needed
    cdef int place
    if c == NULL:
        return None
    for place in range(LATENCY_PLACES):
        total += c.latency[place]
    found = []
    for percentile in wanted:
        needed = percentile / 100.0 * total + 0.5
        if needed < 1:
            needed = 1
        seen = 0
        for place in range(LATENCY_PLACES):
            seen += c.latency[place]
            if seen >= <uint64_t>needed:
                break
        found.append(highest_ns(place) / 1000.0)
    return found


def distribution(Engine engine, str name):
    """Return (calls, [(microseconds, calls so far), ...]) by powers of two, or None."""
    cdef Command* c = measured(engine, name)
    cdef uint64_t seen = 0, edge = 1024, told = 0
    cdef int place
    if c == NULL:
        return None
    steps = []
    for place in range(LATENCY_PLACES):
        if highest_ns(place) >= edge:
            if seen > told:
                steps.append((edge // 1000, seen))
                told = seen
            while highest_ns(place) >= edge:
                edge *= 2
        seen += c.latency[place]
    if seen > told:
        steps.append((edge // 1000, seen))
    return seen, steps


def forget(Engine engine):
    """Begin all histograms anew (CONFIG RESETSTAT, latency-tracking no)."""
    cdef int i
    for i in range(engine.command_count):
        free(engine.commands[i].latency)
        engine.commands[i].latency = NULL
