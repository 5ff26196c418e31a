# Replies of the protocol, read from bytes as they come (RESP2), and commands as bytes.

cdef class ReplyReader:
    """Holds the bytes that are not yet a whole reply."""
    cdef bytes held

cdef object read_reply(const char** place, const char* end, int depth)
