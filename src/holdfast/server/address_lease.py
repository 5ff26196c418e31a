"""How long a virtual address may outlive its last grant: what voters and holders must agree on.

The holder counts a lease from its question, the voter from its answer and a tenth longer,
for clocks that run apart; and a kernel may be late in taking an address away. How late is
the holder's to say, when it asks: it knows what its kernel can do.
"""

from __future__ import annotations

LEASE_MS_MIN = 500
LEASE_MS_MAX = 5000
KERNEL_LATE_MS = 500
"""How much later than asked for Linux may take away an address whose lifetime is over (measured: 0.42 s)."""


LIFETIME_LEASE_MS = 1500
"""The shortest lease that lifetimes of whole seconds can follow: a second, and time to renew it in."""


def kept_ms(lease_ms: int, late_ms: int = KERNEL_LATE_MS) -> int:
    """Return how long after its last grant an agent may still be seen with the address, in milliseconds."""
    return lease_ms * 11 // 10 + late_ms
