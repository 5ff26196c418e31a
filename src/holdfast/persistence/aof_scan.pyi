"""Framing of append-only files: finds where whole commands end (see the `.pyx`)."""

from typing import Final

END: Final = 0
END_INSIDE: Final = 1
MALFORMED: Final = 2
MOST: Final = 3
LATER: Final = 4

FAULT_NONE: Final = 0
FAULT_START: Final = 1
FAULT_ARGUMENT: Final = 2
FAULT_NUMBER: Final = 3
FAULT_NEWLINE: Final = 4
FAULT_COUNT: Final = 5
FAULT_MULTI: Final = 6
FAULT_EXEC: Final = 7
FAULT_ANNOTATION: Final = 8
FAULT_TIME: Final = 9

class Scan:
    """What one walk over a buffer found; offsets count from the start of the buffer."""

    @property
    def safe(self) -> int:
        """Return the offset after the last whole command outside of, or whole, MULTI ... EXEC."""
    @property
    def commands(self) -> int:
        """Return the number of commands before `safe`."""
    @property
    def held(self) -> int:
        """Return the number of whole commands after `safe`, in an open MULTI."""
    @property
    def annotations(self) -> int:
        """Return the number of annotation lines before `safe`."""
    @property
    def last(self) -> int:
        """Return the start of the command or line where the walk ended."""
    @property
    def at(self) -> int:
        """Return the offset of the byte that ended the walk."""
    @property
    def wanted(self) -> int:
        """Return the length that the buffer must have at least to go on (END_INSIDE only)."""
    @property
    def stop(self) -> int:
        """Return END, END_INSIDE, MALFORMED, MOST or LATER."""
    @property
    def fault(self) -> int:
        """Return one of the FAULT_ values (MALFORMED only)."""
    @property
    def multi(self) -> bool:
        """Tell whether a MULTI is open at the end of the walk."""

def scan(buffer: bytes | bytearray | memoryview, start: int = 0, most: int = -1, latest: int = -1) -> Scan:
    """Walk whole commands from `start`; stop after `most` of them or before a #TS: after `latest`."""

def without_annotations(buffer: bytes | bytearray | memoryview, end: int) -> bytes:
    """Return the first `end` bytes without annotation lines; ValueError if they are not whole commands."""

def last_marks(
    buffer: bytes | bytearray | memoryview, end: int
) -> tuple[bytes | None, bytes | None, int]:
    """Return the last COPY line, the last AT line behind it, and how many commands follow both.

    ValueError if the first `end` bytes are not whole commands.
    """
