"""How the proxy is told about a deployment: the one place that knows its file.

How to read it: `proxy_file` returns the file's name and text, and the words before its path on
the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from holdfast.ops.model import Deployment
from holdfast.ops.wire import Address


def is_there() -> bool:
    """Tell whether this build has a proxy."""
    return find_spec("holdfast.cli.proxy") is not None


def proxy_file(
    deployment: Deployment, listens: Address, data: Sequence[Address], sentinels: Sequence[Address]
) -> tuple[str, str, tuple[str, ...]]:
    """Return name, text and arguments of the proxy's configuration."""
    raise NotImplementedError("this build has no proxy yet: set proxy = false")
