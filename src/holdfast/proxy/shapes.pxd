# The parts of a proxy and what each holds. What works on them stands beside:
#
#   client    requests in, replies out in their order      route   one request: where it goes
#   link      one connection to a backend                  split   requests over several shards, joined again
#   hold      requests that wait for a backend             verbs   how each command is routed

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from holdfast.engine.buf cimport Buf
from holdfast.engine.state cimport Engine, Session
from holdfast.proxy.scan cimport Scan
from holdfast.proxy.slots cimport Ring, Slot
from holdfast.server.poller cimport Poller, Polled

cdef enum:
    PLAIN_PROTOCOL = 2

# How one command is routed; beside its record in the engine, by its id.
cdef struct Verb:
    uint8_t kind            # VerbKind of verbs.pxd
    uint8_t join            # Join, where the command is split
    bint writes
    bint blocks
    bint is_sub             # a sub-command: it has no door of its own
    int number              # of counted keys: argv index of the count
    int first               # first key, counted from there or from 0
    int last
    int step
    int extra               # argv index of a key beside the counted ones, 0: none

cdef class Exchange:
    """What all parts of one proxy share: the engine of local commands, the tick, the verbs."""
    cdef object __weakref__
    cdef readonly Engine engine
    cdef public object loop
    cdef public object node             # logs, and what commands ask
    cdef public object dial             # callable(link): connect it, in a task
    cdef public object hub              # subscriptions (hub.py)
    cdef Poller poller                  # None: the transports read
    cdef bint end_scheduled             # the loop will end the tick
    cdef Verb* verbs
    cdef int verb_count
    cdef int64_t now_ms                 # the loop's clock at the begin of the tick
    cdef list dirty_links               # with requests to write at the end of the tick
    cdef list ready                     # clients to go on with
    cdef object client_buffer, link_buffer
    cdef char* client_start
    cdef char* link_start
    cdef Buf scratch                    # a request being composed
    cdef int* part_of                   # of each shard: its part in the request being split, -1: none
    cdef int part_cap
    cdef public bint draining           # SIGTERM came: no new clients, end when all are idle

cdef class Target:
    """What a door leads to: a pool, or several behind routes. Pure routing: key to shard."""
    cdef object __weakref__
    cdef public str name
    cdef public list shards             # of Shard; a shard's ordinal is its place here
    # The ordinal of the shard that a key belongs to; -1: of none.
    cdef int shard_of(self, const char* key, size_t n) noexcept

cdef class Pool(Target):
    """Shards under one policy, and the decisions that the policy makes."""
    cdef readonly Exchange exchange
    cdef public bytes password          # for its backends; None: none
    cdef public int database            # that a new client begins with
    cdef public int connections         # to each backend, for each database and protocol
    cdef public int timeout_ms          # a request's, 0: none
    cdef public int hold_ms             # requests wait so long for a backend that is not known, 0: not at all
    cdef public int64_t hold_bytes      # that may wait so, in each shard
    cdef public bint keeps_requests     # until they are answered, to send them again
    cdef public uint64_t server_ejects
    # The backend for a request; None: there is none now, hold it or refuse it.
    cdef Backend backend_for(self, Shard shard, bint writes, Client client)
    # An error came for a slot. True: it is taken care of (sent again); False: pass it on.
    cdef bint take_error(self, Link link, Slot* slot, const char* line, size_t n) except -1
    # A connection was lost or could not be made (errno, 0: it just ended); a reply came after such.
    cdef int backend_failed(self, Backend backend, int errno_) except -1
    cdef int backend_answered(self, Backend backend) except -1

cdef class Shard:
    """One part of the keys: the backend that takes its writes, its replicas, and who waits for them."""
    cdef readonly Pool pool
    cdef readonly str name
    cdef public int ordinal
    cdef Backend _primary
    cdef public list replicas
    cdef Ring held                      # requests that wait for a primary, in their order
    cdef int64_t held_bytes
    cdef object hold_timer

cdef class Backend:
    """One server: an address that may change, its connections and counters."""
    cdef object __weakref__
    cdef readonly Pool pool
    cdef readonly str name
    cdef readonly str host              # or the path of a unix socket
    cdef readonly int port              # 0: unix socket
    cdef public int weight
    cdef public object facts            # for the pool's policy: what it knows of the server
    cdef readonly Lane plain            # of the pool's database, RESP2
    cdef dict lanes                     # (database, protocol): Lane
    cdef public int failures
    cdef public bint ejected
    cdef public bint has_left           # is in no configuration any more
    cdef public uint64_t server_eof, server_err, server_timedout, server_ejected_at
    cdef public int64_t server_connections
    cdef public uint64_t requests, request_bytes, responses, response_bytes
    cdef public int64_t in_queue, in_queue_bytes, out_queue, out_queue_bytes

cdef class Lane:
    """The connections to a backend that are in one database and speak one protocol."""
    cdef readonly Backend backend
    cdef readonly int database, protocol
    cdef list links                     # shared ones, by client number; None where there is none yet
    cdef list idle                      # private ones that nobody uses now

cdef class Link(Polled):
    """One connection to a backend: requests of many clients joined, replies matched in order."""
    cdef readonly Exchange exchange
    cdef readonly Lane lane
    cdef readonly bint connected, private, retired
    cdef bint dirty
    cdef Buf out                        # not yet written
    cdef uint64_t stream_end, written   # bytes ever put into out; bytes of them that were written
    cdef Ring ring                      # requests without a reply, in the order in which they were sent
    cdef uint32_t unsent                # of them, those that came since all was written
    cdef Scan scan
    cdef bint collecting                # the reply under way is an error: its line is gathered
    cdef Buf line
    cdef object timer                   # for the first request's limit
    cdef list stalled                   # clients that wait for room in `out`
    cdef object slow_client             # whose sake reading is paused for
    cdef public object push_sink        # callable(bytes): whole frames go here, whatever they answer (hub)

cdef class Door:
    """Where clients come in: a listener, its target, its counters."""
    cdef public str name
    cdef public Target target
    cdef public bytes password          # that clients must know; None: none
    cdef public int database            # that a client begins with
    cdef public int client_limit        # 0: none
    cdef public object facts            # the configuration it was made from
    cdef public list listeners
    cdef public uint64_t client_eof, client_err, forward_error, fragments
    cdef public int64_t client_connections

cdef class Client(Polled):
    """One client: its session, and the requests that it waits for."""
    cdef readonly Exchange exchange
    cdef readonly Session session
    cdef readonly Door door
    cdef object registry                # of clients: opened, closed, output waits
    cdef uint32_t number                # chooses among the shared connections of a lane
    cdef Slot* head                     # requests without a sent reply, oldest first
    cdef Slot* tail
    cdef int pending                    # how many
    cdef public int database
    cdef bint until_idle                # no request is begun before `pending` is 0
    cdef bint in_ready                  # stands in Exchange.ready
    cdef bint stalled                   # waits for room on a connection
    cdef readonly Link pinned           # a connection of its own (WATCH, blocking commands, a huge request)
    cdef bint unpin                     # give it back when idle
    cdef bint broken_watch              # it was lost while keys were watched
    cdef Shard pinned_shard             # where that connection leads
    cdef Shard multi_shard              # of the transaction being gathered; None: no key has told yet
    cdef bint streaming                 # a huge request goes through as it arrives
    cdef Scan stream                    # how far it is
    cdef Link slowing                   # stopped reading for this client's sake
    cdef size_t left_at_end
    cdef public object memory           # for policies: what the session has written (read-your-writes)
    cpdef flush(self)
    cpdef abort(self)
