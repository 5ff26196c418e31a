"""Python's own memory, kept out of children that need none of it."""

def watch() -> None:
    """Note each arena from now on; those that are there already stay shared with children.

    Source: madvise(2) MADV_DONTFORK, and
    https://docs.python.org/3/c-api/memory.html#customize-pymalloc-arena-allocator
    """
