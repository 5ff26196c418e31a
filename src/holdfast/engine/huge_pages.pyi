"""Huge pages for the heap of this process, or for nothing at all."""

def use(wanted: bool) -> bool:
    """Use huge pages for what the heap grows by from now on, or (not `wanted`) let this process have none.

    Returns whether that could be had; it is for the whole process and cannot be taken back.
    Source: madvise(2) MADV_HUGEPAGE, prctl(2) PR_SET_THP_DISABLE.
    """
