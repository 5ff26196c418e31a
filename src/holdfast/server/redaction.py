"""What must not be seen in the slow log and in MONITOR: passwords and secret settings.

`redacted` is pure: a call in, the same call with secrets replaced out.
"""

from __future__ import annotations

from holdfast.server.config.table import BY_NAME

HIDDEN = b"(redacted)"


def redacted(call: list[bytes]) -> list[bytes]:
    """Return the call without its secrets."""
    name = call[0].lower()
    shown = list(call)
    if name == b"auth":
        shown[1:] = [HIDDEN] * (len(call) - 1)
    elif name == b"hello":
        for place in range(2, len(call) - 2):
            if call[place].lower() == b"auth":
                shown[place + 1] = shown[place + 2] = HIDDEN
    elif name == b"config" and len(call) > 3 and call[1].lower() == b"set":
        for place in range(2, len(call) - 1, 2):
            directive = BY_NAME.get(call[place].decode("utf-8", "replace").lower())
            if directive is not None and directive.sensitive:
                shown[place + 1] = HIDDEN
    elif name == b"acl" and len(call) > 2 and call[1].lower() == b"setuser":
        shown[2:] = [HIDDEN] * (len(call) - 2)
    elif name == b"migrate":
        _hide_migrate(call, shown)
    return shown


def _hide_migrate(call: list[bytes], shown: list[bytes]) -> None:
    for place in range(6, len(call) - 1):
        word = call[place].lower()
        if word == b"keys":
            return
        if word == b"auth":
            shown[place + 1] = HIDDEN
        elif word == b"auth2":
            shown[place + 1 : place + 3] = [HIDDEN] * len(call[place + 1 : place + 3])
