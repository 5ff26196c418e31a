# Huge pages for the heap, so that a fork need not copy a page table entry for every 4 kB of data.

# Ask for huge pages where the heap has grown; costs nothing where it has not.
cdef void follow_heap() noexcept nogil
