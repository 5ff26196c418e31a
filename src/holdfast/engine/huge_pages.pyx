"""Huge pages for the heap of this process, or for nothing at all.

What it is: a fork copies a page table entry for every page that is resident, and nobody is
served meanwhile. With pages of 2 MB instead of 4 kB that is five hundred times less. What is
written to afterwards is copied by 4 kB all the same: kernels from 5.8 split a huge page
before they copy. What it is not: for large tables, which are mapped on their own and give
emptied pages back piece by piece.

How to read it: `use` decides once; `follow_heap` is called at the beginning of each tick, for
the heap grows by pieces and each has to be told of before it is touched.
"""

cdef extern from *:
    """
    #if defined(__GLIBC__) && defined(__linux__)
    #include <malloc.h>
    #include <stdint.h>
    #include <sys/mman.h>
    #include <sys/prctl.h>
    #include <unistd.h>
    #endif
    #if defined(__GLIBC__) && defined(MADV_HUGEPAGE)
    enum { HF_GROWTH = 16 * 1024 * 1024 };
    static char *hf_heap_end = NULL;    /* NULL: huge pages are not used */
    /* The heap grows by large pieces, so that what a tick takes is mostly from one that is known. */
    static int hf_use_huge_pages(void) {
        mallopt(M_TOP_PAD, HF_GROWTH);
        mallopt(M_TRIM_THRESHOLD, 2 * HF_GROWTH);
        hf_heap_end = (char*)sbrk(0);
        return 1;
    }
    static void hf_follow_heap(void) {
        char *end = (char*)sbrk(0), *from = (char*)((uintptr_t)hf_heap_end & ~(uintptr_t)4095);
        if (end > hf_heap_end)
            madvise(from, end - from, MADV_HUGEPAGE);
        hf_heap_end = end;
    }
    #define hf_heap_has_changed() (hf_heap_end != NULL && hf_heap_end != (char*)sbrk(0))
    static int hf_refuse_huge_pages(void) { return prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0; }
    #else
    static int hf_use_huge_pages(void) { return 0; }
    static void hf_follow_heap(void) {}
    #define hf_heap_has_changed() 0
    static int hf_refuse_huge_pages(void) { return 0; }
    #endif
    """
    int hf_use_huge_pages() noexcept nogil
    void hf_follow_heap() noexcept nogil
    bint hf_heap_has_changed() noexcept nogil
    int hf_refuse_huge_pages() noexcept nogil


def use(bint wanted):
    """Use huge pages for what the heap grows by from now on, or (not `wanted`) let this process have none.

    Returns whether that could be had; it is for the whole process and cannot be taken back.
    Source: madvise(2) MADV_HUGEPAGE, prctl(2) PR_SET_THP_DISABLE.
    """
    return bool(hf_use_huge_pages() if wanted else hf_refuse_huge_pages())


cdef void follow_heap() noexcept nogil:
    if hf_heap_has_changed():
        hf_follow_heap()
