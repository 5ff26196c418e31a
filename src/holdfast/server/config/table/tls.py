"""TLS: known, kept and shown, but not spoken yet.

Two values are refused, since ignoring them would send passwords in the clear
where the operator asked for TLS: `tls-replication yes` and `tls-cluster yes`.

How to read it: a directive a line.
"""

from __future__ import annotations

from holdfast.server.config.checks import needs
from holdfast.server.config.directive import Directive, choice, integer, name_or_none, yes_no
from holdfast.server.config.kinds import YesNo

_NO_TLS = "there is no TLS yet; nothing listens with it"
_REFUSED = "TLS is not supported yet, and the link would be in the clear"

DIRECTIVES = (
    integer("tls-port", 0, 0, 65535, accepted=_NO_TLS),
    Directive("tls-replication", YesNo(needs(True, _REFUSED)), False, accepted=_NO_TLS),
    Directive("tls-cluster", YesNo(needs(True, _REFUSED)), False, accepted=_NO_TLS),
    choice("tls-auth-clients", "yes", "no", "yes", "optional", accepted=_NO_TLS),
    name_or_none("tls-cert-file", volatile=True, accepted=_NO_TLS),
    name_or_none("tls-key-file", volatile=True, accepted=_NO_TLS),
    name_or_none("tls-key-file-pass", sensitive=True, accepted=_NO_TLS),
    name_or_none("tls-client-cert-file", volatile=True, accepted=_NO_TLS),
    name_or_none("tls-client-key-file", volatile=True, accepted=_NO_TLS),
    name_or_none("tls-client-key-file-pass", sensitive=True, accepted=_NO_TLS),
    name_or_none("tls-dh-params-file", volatile=True, accepted=_NO_TLS),
    name_or_none("tls-ca-cert-file", volatile=True, accepted=_NO_TLS),
    name_or_none("tls-ca-cert-dir", volatile=True, accepted=_NO_TLS),
    name_or_none("tls-protocols", accepted=_NO_TLS),
    name_or_none("tls-ciphers", accepted=_NO_TLS),
    name_or_none("tls-ciphersuites", accepted=_NO_TLS),
    yes_no("tls-prefer-server-ciphers", False, accepted=_NO_TLS),
    yes_no("tls-session-caching", True, accepted=_NO_TLS),
    integer("tls-session-cache-size", 20 * 1024, accepted=_NO_TLS),
    integer("tls-session-cache-timeout", 300, accepted=_NO_TLS),
)
