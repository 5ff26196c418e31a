"""Python's own memory, kept out of children that need none of it.

What it is: a child that writes a snapshot runs no Python, yet a plain fork shares the
memory of all Python objects with it: each page has to be copied when the parent next
counts a reference there, several hundred pages in the tick that follows. So the arenas,
in which Python keeps its objects, are noted as they come, and left out of such a fork; and
so are the interpreter's own variables, among which None, True and the built-in types stand.
What it is not: for any other child; one that runs Python would end at once.

How to read it: `watch` is called when the process begins; `hide_python_memory` and
`show_python_memory` frame the fork, in which the interpreter's lock is held, so that no
other thread makes a child meanwhile.
"""

from libc.stdlib cimport realloc

cdef extern from "Python.h":
    ctypedef struct PyObjectArenaAllocator:
        void* ctx
        void* (*alloc)(void* ctx, size_t size) noexcept nogil
        void (*free)(void* ctx, void* p, size_t size) noexcept nogil
    void PyObject_GetArenaAllocator(PyObjectArenaAllocator* allocator)
    void PyObject_SetArenaAllocator(PyObjectArenaAllocator* allocator)

cdef extern from *:
    """
    #include <stddef.h>
    #if defined(__linux__) && !CYTHON_TRACE_NOGIL    /* a traced child runs Python */
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <link.h>
    #include <stdint.h>
    #include <sys/mman.h>
    #include <unistd.h>
    static void hf_share(void* p, size_t n, int with_children) {
        madvise(p, n, with_children ? MADV_DOFORK : MADV_DONTFORK);
    }
    /* Find the whole pages of the variables in the object where None stands; what calls go through stays. */
    static int hf_look_for_variables(struct dl_phdr_info *object, size_t size, void *found) {
        uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), none = (uintptr_t)Py_None;
        uintptr_t calls_end = 0, start, end;
        int i;
        for (i = 0; i < object->dlpi_phnum; i++)
            if (object->dlpi_phdr[i].p_type == PT_GNU_RELRO)
                calls_end = object->dlpi_addr + object->dlpi_phdr[i].p_vaddr + object->dlpi_phdr[i].p_memsz;
        for (i = 0; i < object->dlpi_phnum; i++) {
            start = object->dlpi_addr + object->dlpi_phdr[i].p_vaddr;
            end = start + object->dlpi_phdr[i].p_memsz;
            if (object->dlpi_phdr[i].p_type != PT_LOAD || none < start || none >= end)
                continue;
            start = ((start > calls_end ? start : calls_end) + page - 1) & ~(page - 1);
            end &= ~(page - 1);
            ((uintptr_t*)found)[0] = start;
            ((uintptr_t*)found)[1] = start < end ? end - start : 0;
            return 1;
        }
        return 0;
    }
    static void hf_find_variables(void** start, size_t* size) {
        uintptr_t found[2] = {0, 0};
        dl_iterate_phdr(hf_look_for_variables, found);
        *start = (void*)found[0], *size = found[1];
    }
    #else
    static void hf_share(void* p, size_t n, int with_children) {}
    static void hf_find_variables(void** start, size_t* size) { *start = NULL, *size = 0; }
    #endif
    """
    void hf_find_variables(void** start, size_t* size)
    void hf_share(void* p, size_t n, bint with_children) noexcept nogil

cdef struct Arena:
    char* start
    size_t size

cdef enum:
    ARENAS_MOST = 256       # in a program with thousands, to tell of each would take longer

cdef PyObjectArenaAllocator before
cdef Arena* arenas = NULL
cdef size_t arena_count = 0
cdef size_t arena_room = 0
cdef bint is_watching = False
cdef Arena variables


cdef void* arena_comes(void* ctx, size_t size) noexcept nogil:
    global arenas, arena_count, arena_room
    cdef void* p = before.alloc(before.ctx, size)
    cdef Arena* more
    if p == NULL:
        return NULL
    if arena_count == arena_room:
        more = <Arena*>realloc(arenas, (arena_room * 2 + 32) * sizeof(Arena))
        if more == NULL:
            return p            # it will be shared, which only costs time
        arenas = more
        arena_room = arena_room * 2 + 32
    arenas[arena_count].start = <char*>p
    arenas[arena_count].size = size
    arena_count += 1
    return p


cdef void arena_goes(void* ctx, void* p, size_t size) noexcept nogil:
    global arena_count
    cdef size_t i
    for i in range(arena_count):
        if arenas[i].start == <char*>p:
            arena_count -= 1
            arenas[i] = arenas[arena_count]
            break
    before.free(before.ctx, p, size)


def watch():
    """Note each arena from now on; those that are there already stay shared with children.

    Source: madvise(2) MADV_DONTFORK, and
    https://docs.python.org/3/c-api/memory.html#customize-pymalloc-arena-allocator
    """
    global is_watching
    cdef PyObjectArenaAllocator ours
    if is_watching:
        return
    is_watching = True
    PyObject_GetArenaAllocator(&before)
    ours.ctx = NULL
    ours.alloc = arena_comes
    ours.free = arena_goes
    PyObject_SetArenaAllocator(&ours)
    hf_find_variables(<void**>&variables.start, &variables.size)


cdef void tell_of_all(bint with_children) noexcept nogil:
    cdef size_t i
    if arena_count <= ARENAS_MOST:
        for i in range(arena_count):
            hf_share(arenas[i].start, arenas[i].size, with_children)
    if variables.size:
        hf_share(variables.start, variables.size, with_children)


cdef void hide_python_memory() noexcept nogil:
    tell_of_all(False)


cdef void show_python_memory() noexcept nogil:
    tell_of_all(True)
