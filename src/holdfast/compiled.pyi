"""All compiled modules in one shared object, and how Python finds them there."""

from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

MODULES: Final[tuple[str, ...]]
"""The names of all modules in this shared object but this one."""

class Finder:
    """An entry of `sys.meta_path`: https://docs.python.org/3/reference/import.html#the-meta-path."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a compiled module is; None for any other."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make the module, before its code runs."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the code of a module that `create_module` made."""

def install() -> None:
    """Let Python find these modules, before any other of the same name."""
