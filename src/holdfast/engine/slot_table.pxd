# What the data path of a cluster node must know of the slots: plain structs.
#
# Filled from outside through `slots`; read by every request of a node in cluster mode.

from libc.stdint cimport uint8_t, uint16_t

cdef enum:
    SLOT_COUNT = 16384
    OWNER_NONE = 0          # indices of nodes, in SlotTable.owner and .target
    OWNER_ME = 1

cdef enum KeyKind:          # where the keys of a command stand
    KEYS_NONE = 0           # it has none: it runs anywhere
    KEYS_ONE = 1            # one, at KeyRules.at
    KEYS_RULES = 2          # as the rules say
    KEYS_ASKED = 3          # Engine.find_keys knows
    KEYS_QUEUED = 4         # EXEC: those of the queued requests

cdef struct KeyRule:        # one key specification (https://redis.io/docs/reference/key-specs/)
    int begin               # argv index; 0: behind `keyword`
    char keyword[20]        # lower case
    int begin_from          # where the search begins; negative: from the end, backwards
    int last                # a range: last key, from the first; negative: from the end of the call
    int step
    int limit               # > 1 and last is -1: keys are this fraction of what follows
    int keynum              # where the number of keys stands, from begin; -1: a range
    int first               # with keynum: the first key, from begin

cdef struct KeyRules:       # of a command
    uint8_t kind
    uint8_t channels        # shard channels, not keys
    uint8_t moves_keys      # MIGRATE: works on an open slot as it is
    int at
    int count
    KeyRule rule[3]

cdef struct SlotTable:
    # 1: the slot is ours, not being moved, and the cluster serves: nothing need be asked
    uint8_t plain[SLOT_COUNT]
    uint16_t owner[SLOT_COUNT]
    uint16_t target[SLOT_COUNT]     # where a slot of ours is being moved, OWNER_NONE: it is not
    uint8_t importing[SLOT_COUNT]   # 1: is being moved to us
    uint16_t in_transit[SLOT_COUNT]  # how many MIGRATEs have keys of the slot on their way: writes wait
    uint16_t primary                # of this node, when it is a replica; else OWNER_NONE
    bint serves                     # cluster_state is ok
    bint reads_when_down            # cluster-allow-reads-when-down
    bint channels_when_down         # cluster-allow-pubsubshard-when-down
    KeyRules* rules                 # by command id
    int rule_count
    int* positions                  # scratch of `find_positions`
    int position_cap
