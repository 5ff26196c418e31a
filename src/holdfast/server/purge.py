"""Giving freed memory back to the system (MEMORY PURGE), where the C library can."""

from __future__ import annotations

import ctypes
import gc


def give_back_memory() -> bool:
    """Return free pages of the allocator to the system; False where that is not possible."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return bool(trim(0)) if trim is not None else False
