# Python's own memory, kept out of children that need none of it.

# Around a fork of which the child runs no Python: its memory is not shared, so nothing of it is copied later.
cdef void hide_python_memory() noexcept nogil
cdef void show_python_memory() noexcept nogil
