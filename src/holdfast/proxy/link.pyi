"""One connection to a backend."""

from collections.abc import Callable, Sequence

from holdfast.proxy.shapes import Backend, Link

def ask(backend: Backend, words: Sequence[bytes], told: Callable[[bytes | None], object]) -> None:
    """Send a request of our own; `told` gets the reply as RESP, None when the connection was lost first."""

def open_private(backend: Backend, database: int, protocol: int) -> Link:
    """Return a connection that no client shares. Its `push_sink` gets what the server says unasked."""

def send_words(link: Link, words: Sequence[bytes], told: Callable[[bytes | None], object] | None = None) -> None:
    """Send a request on a connection; without `told` its replies go to the `push_sink`."""

def close(link: Link) -> None:
    """Close a connection; what waits on it gets an error."""

def connect_all(backend: Backend) -> None:
    """Open the shared connections now (preconnect)."""
