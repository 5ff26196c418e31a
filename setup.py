"""Build script: every ``.pyx`` under ``src`` is a module, and all of them are one shared object.

Why one: Python knows a compiled module as a shared object of its own, and each of those is
several mappings of memory. A fork copies them one by one, while nobody is served
(docs/decisions/what-a-fork-costs.md).

How: each ``.pyx`` is translated to C (``cythonize``) and compiled to an object file of its own,
only where it changed, several at a time. The function that begins a module is
``PyInit_`` and the last part of its name, which two modules may share: it is renamed to
carry the whole name. A table of names and such functions is written as C, and all is linked
as ``holdfast.compiled``, which finds modules in the table (``src/holdfast/compiled.pyx``).

All other metadata lives in ``pyproject.toml``. Three switches, all from the
environment: ``HOLDFAST_TRACE=1`` turns line tracing on, ``HOLDFAST_SANITIZE=1``
builds the engine with AddressSanitizer, ``HOLDFAST_NO_EXTENSIONS=1`` leaves the
extensions out (the Makefile installs the commands so, and compiles in place).
"""

import multiprocessing
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

TRACE = os.environ.get("HOLDFAST_TRACE") == "1"
SANITIZE = os.environ.get("HOLDFAST_SANITIZE") == "1"
NO_EXTENSIONS = os.environ.get("HOLDFAST_NO_EXTENSIONS") == "1"

COMPILE = ["-O1", "-g"] if TRACE or SANITIZE else ["-O2", "-g1"]
COMPILE += ["-fno-strict-aliasing", "-Wno-unused-function", "-Wno-unused-but-set-variable"]
# No multiply-and-add in one rounding: a simulated run is the same on every processor.
COMPILE += ["-ffp-contract=off"]
# Code and what is only read in one mapping: a fork copies them all.
LINK: list[str] = ["-Wl,-z,noseparate-code"] if sys.platform == "linux" else []
MACROS: list[tuple[str, str | None]] = []
if SANITIZE:
    COMPILE += ["-fsanitize=address", "-fno-omit-frame-pointer"]
    LINK += ["-fsanitize=address"]
if TRACE:
    MACROS += [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")]

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "linetrace": TRACE,
    "embedsignature": False,
}

WHOLE = "holdfast.compiled"
"""The module that is the shared object: Python finds it by its name, and it finds the others."""


def modules() -> dict[str, str]:
    """Translate what changed to C; return the C file of each module by the module's name."""
    found = []
    for path in sorted(Path("src").rglob("*.pyx")):
        name = ".".join(path.relative_to("src").with_suffix("").parts)
        found.append(Extension(name, [str(path)]))
    translated = cythonize(
        found,
        include_path=["src"],
        compiler_directives=DIRECTIVES,
        # Where a new process starts from nothing (macOS, Python 3.14) it would run this file again.
        nthreads=(os.cpu_count() or 1) if multiprocessing.get_start_method() == "fork" else 0,
    )
    return {module.name: module.sources[0] for module in translated}


class ManyModules(Extension):
    """A shared object that holds modules; `modules` has the C file of each by its name."""

    def __init__(self, name: str, modules: dict[str, str]) -> None:
        super().__init__(name, [], define_macros=MACROS, extra_compile_args=COMPILE, extra_link_args=LINK)
        self.modules = modules


class BuildManyModules(build_ext):
    """`build_ext` for a shared object that holds many modules."""

    def build_extension(self, ext: ManyModules) -> None:
        """Compile what changed, several at a time; link all if anything did."""
        with ThreadPoolExecutor(self.parallel or os.cpu_count()) as pool:
            work = [pool.submit(self.compile_one, ext, self.write_table(ext))]
            for name, source in ext.modules.items():
                # Each begins with a function of its own name.
                work += [pool.submit(self.compile_one, ext, source, (plain_beginning(name), beginning(name)))]
        objects = [one.result() for one in work]
        # What setuptools does with an extension of objects alone is to link them.
        ext.extra_objects = ext.depends = objects
        super().build_extension(ext)
        self.remove_shared_objects_of_one(ext)

    def compile_one(self, ext: ManyModules, source: str, *macros: tuple[str, str]) -> str:
        """Compile a C file if it changed, or this file did; return its object file."""
        [target] = self.compiler.object_filenames([source], output_dir=self.build_temp)
        if self.force or newer_group([source, __file__], target):
            self.compiler.compile(
                [source],
                output_dir=self.build_temp,
                macros=[*ext.define_macros, *macros],
                debug=self.debug,
                extra_postargs=ext.extra_compile_args,
            )
        return target

    def write_table(self, ext: ManyModules) -> str:
        """Write the table of the modules as C, if it changed; return the file."""
        names = [name for name in ext.modules if name != WHOLE]
        lines = ["#include <Python.h>", *(f"PyObject *{beginning(name)}(void);" for name in names)]
        lines += ["const struct { const char *name; PyObject *(*begin)(void); } holdfast_modules[] = {"]
        lines += [*(f'    {{"{name}", {beginning(name)}}},' for name in names), "    {NULL, NULL},", "};", ""]
        table = Path(self.build_temp, "modules.c")
        if not table.exists() or table.read_text() != "\n".join(lines):
            table.parent.mkdir(parents=True, exist_ok=True)
            table.write_text("\n".join(lines))
        return str(table)

    def remove_shared_objects_of_one(self, ext: ManyModules) -> None:
        """Remove what earlier versions built, a shared object for each module: wheels would take it along."""
        for name in ext.modules:
            for folder in (self.build_lib, "src") if name != WHOLE else ():
                Path(folder, self.get_ext_filename(name)).unlink(missing_ok=True)


def beginning(name: str) -> str:
    """Return the C function that begins a module, of a name that no other has."""
    return plain_beginning(name) if name == WHOLE else "PyInit_" + name.replace(".", "__")


def plain_beginning(name: str) -> str:
    """Return the C function that Cython lets a module begin with."""
    return "PyInit_" + name.rpartition(".")[2]


if NO_EXTENSIONS:
    setup()
else:
    setup(ext_modules=[ManyModules(WHOLE, modules())], cmdclass={"build_ext": BuildManyModules})
