# What a node counts in each tick, where compiled code adds to it.

from libc.stdint cimport uint64_t

cdef class Counters:
    cdef public uint64_t replication_input_bytes    # snapshots and stream, from the primary
    cdef public uint64_t replication_output_bytes   # and to replicas
    cdef public uint64_t tick_count
    cdef public uint64_t tick_us                    # between the opening and the end of ticks
