# Requests over several shards: taken apart, and their replies joined again.

from holdfast.engine.buf cimport Buf
from holdfast.engine.state cimport Call
from holdfast.proxy.shapes cimport Client, Verb
from holdfast.proxy.slots cimport Slot

# MGET, MSET, DEL ...: each shard gets its keys. `whole` is the client's slot.
cdef int send_split(Client client, Call* c, Verb* verb, Slot* whole) except -1
# DBSIZE, KEYS, FLUSHALL ...: each shard gets the request as it is.
cdef int send_to_all(Client client, Call* c, Verb* verb, Slot* whole) except -1
# SCAN: the shard that the cursor tells of.
cdef int send_cursor(Client client, Call* c, Slot* whole) except -1
# All parts are answered: put the reply of the whole behind what is in `out`.
cdef int join_parts(Slot* whole, Buf* out) except -1
