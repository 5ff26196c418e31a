# The time of a tick, set from compiled code.

from libc.stdint cimport int64_t, uint32_t
from holdfast.engine.huge_pages cimport follow_heap
from holdfast.engine.keyspace cimport LAZY_EXPIRE, LAZY_OVERWRITE
from holdfast.engine.state cimport Engine


cdef inline void set_engine_time(Engine e, int64_t now_ms):
    """Set the wall clock of this tick, in milliseconds since 1970."""
    follow_heap()
    e.ks.now_ms = now_ms
    e.ks.lru_clock = <uint32_t>((now_ms // 1000) & 0xFFFFFF)
    e.ks.lazy_flags = (
        (LAZY_EXPIRE if e.lazyfree_lazy_expire else 0)
        | (LAZY_OVERWRITE if e.lazyfree_lazy_server_del else 0))
