"""The end of keys whose time is over: what is told of it, and the cycle that looks for them."""

from holdfast.engine.state import Engine

def expire_cycle(e: Engine, limit_us: int) -> int:
    """Look for expired keys for at most `limit_us` and delete them; return how many were deleted.

    Samples more of a database while more than a tenth (less with a higher
    active-expire-effort) of the sampled keys had expired, as Redis does
    (https://redis.io/commands/expire/). Does nothing where keys may not be deleted.
    """

def expire_fast(e: Engine) -> int:
    """Run a cycle of a millisecond if there is much to do; return the deletions."""

def facts(e: Engine) -> dict[str, int | float]:
    """Return what INFO tells of expiry."""
