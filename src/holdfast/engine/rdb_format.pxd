# Numbers of the RDB format (https://rdb.fnordig.de/file_format.html and rdb.h).

cdef enum RdbType:              # of values
    RDB_STRING = 0
    RDB_LIST = 1
    RDB_SET = 2
    RDB_ZSET = 3                # scores as text
    RDB_HASH = 4
    RDB_ZSET_2 = 5              # scores as doubles
    RDB_MODULE_PRE_GA = 6
    RDB_MODULE_2 = 7
    RDB_HASH_ZIPMAP = 9
    RDB_LIST_ZIPLIST = 10
    RDB_SET_INTSET = 11
    RDB_ZSET_ZIPLIST = 12
    RDB_HASH_ZIPLIST = 13
    RDB_LIST_QUICKLIST = 14     # nodes are ziplists
    RDB_STREAM = 15
    RDB_HASH_LISTPACK = 16
    RDB_ZSET_LISTPACK = 17
    RDB_LIST_QUICKLIST_2 = 18   # nodes are listpacks or plain elements
    RDB_STREAM_2 = 19
    RDB_SET_LISTPACK = 20       # version 11
    RDB_STREAM_3 = 21
    RDB_HASH_METADATA = 24      # version 12: hashes whose fields expire
    RDB_HASH_LISTPACK_EX = 25

cdef enum RdbOpcode:
    RDB_SLOT_INFO = 244
    RDB_FUNCTION = 245
    RDB_FUNCTION_PRE_GA = 246
    RDB_MODULE_AUX = 247
    RDB_IDLE = 248
    RDB_FREQ = 249
    RDB_AUX = 250
    RDB_RESIZEDB = 251
    RDB_EXPIRE_MS = 252
    RDB_EXPIRE_SECONDS = 253
    RDB_SELECTDB = 254
    RDB_EOF = 255

cdef enum:
    RDB_VERSION_WRITTEN = 10    # what Redis 7.0 loads; all our forms fit it
    RDB_VERSION_READ = 12
    # containers of a RDB_LIST_QUICKLIST_2 node
    QUICKLIST_PLAIN = 1
    QUICKLIST_PACKED = 2
    # strings in special forms: 0xC0 | one of
    STRING_INT8 = 0
    STRING_INT16 = 1
    STRING_INT32 = 2
    STRING_LZF = 3
