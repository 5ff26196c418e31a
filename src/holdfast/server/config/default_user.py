"""The default user: who may come in with which password.

Redis's ACL with the only user there is here. `requirepass` is its password;
`user default ...` lines, as CONFIG REWRITE of Redis leaves them in files, are
understood as far as they give this user everything. A line that names another
user or takes rights away is refused: to accept it would open what it closes.

How to read it: `DefaultUser.read_rules` is the grammar, `accepts` the decision.
"""

from __future__ import annotations

from collections.abc import Sequence

_EVERYTHING = {
    "~*": "keys",
    "allkeys": "keys",
    "&*": "channels",
    "allchannels": "channels",
    "+@all": "commands",
    "allcommands": "commands",
}
_WITHOUT_MEANING = frozenset(("sanitize-payload", "skip-sanitize-payload", "clearselectors"))
_BAD_HASH = (
    "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
)
_HASH_CHARACTERS = frozenset("0123456789abcdef")


class DefaultUser:
    """State of the default user.

    - `nopass` and `hashes` are never both set.
    - `hashes` holds SHA-256 of passwords in lower-case hexadecimal.
    """

    def __init__(self) -> None:
        self.enabled = True
        self.nopass = True
        self.hashes: frozenset[str] = frozenset()

    def set_password(self, password: str) -> None:
        """Take `requirepass`: its value is the only password, "" lets everybody in."""
        self.nopass = password == ""
        self.hashes = frozenset() if self.nopass else frozenset((_sha256(_bytes(password)),))

    def accepts(self, password: bytes) -> bool:
        """Tell whether AUTH with this password succeeds."""
        import hmac

        if not self.enabled:
            return False
        if self.nopass:
            return True
        offered = _sha256(password)
        matched = [hmac.compare_digest(offered, known) for known in self.hashes]
        return True in matched

    def describe(self) -> str:
        """Return the rules that make this user, as ACL LIST shows them."""
        passwords = ["nopass"] if self.nopass else [f"#{known}" for known in sorted(self.hashes)]
        state = "on" if self.enabled else "off"
        return " ".join([state, *passwords, "sanitize-payload", "~*", "&*", "+@all"])

    def read_rules(self, rules: Sequence[str]) -> str:
        """Become what the rules of a `user default` line say; return why not, "" for success."""
        enabled, nopass, granted = False, False, set[str]()
        hashes: set[str] = set()
        for rule in rules:
            word = rule.lower()
            if word in ("on", "off"):
                enabled = word == "on"
            elif word == "nopass":
                nopass = True
                hashes.clear()
            elif word == "resetpass":
                nopass = False
                hashes.clear()
            elif word == "reset":
                enabled, nopass = False, False
                hashes.clear()
                granted.clear()
            elif word in _EVERYTHING:
                granted.add(_EVERYTHING[word])
            elif rule.startswith(">"):
                nopass = False
                hashes.add(_sha256(_bytes(rule[1:])))
            elif rule.startswith("#"):
                if len(rule) != 65 or not _HASH_CHARACTERS.issuperset(rule[1:]):
                    return _BAD_HASH
                nopass = False
                hashes.add(rule[1:])
            elif word not in _WITHOUT_MEANING:
                return f"the rule '{rule}' is not supported: the default user may do everything or is off"
        if enabled and granted != {"keys", "channels", "commands"}:
            return "a default user with fewer rights than ~* &* +@all is not supported"
        self.enabled, self.nopass, self.hashes = enabled, nopass, frozenset(hashes)
        return ""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _sha256(password: bytes) -> str:
    import hashlib

    return hashlib.sha256(password).hexdigest()
