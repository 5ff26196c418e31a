"""Finds where an RDB ends by its seal (see the `.pyx`)."""

class SealFinder:
    """Looks for the byte 0xFF followed by the CRC64 of all bytes up to and with it."""

    @property
    def offset(self) -> int:
        """Return how many bytes were decided on."""
    def look(self, chunk: bytes) -> int:
        """Take the next bytes of the file; return the offset after the seal, or -1 if not yet seen."""
