"""Build script: every ``.pyx`` under ``src`` becomes one extension module.

All other metadata lives in ``pyproject.toml``. Three switches, all from the
environment: ``HOLDFAST_TRACE=1`` turns line tracing on, ``HOLDFAST_SANITIZE=1``
builds the engine with AddressSanitizer, ``HOLDFAST_NO_EXTENSIONS=1`` leaves the
extensions out (the Makefile installs the commands so, and compiles in place).
"""

import multiprocessing
import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

TRACE = os.environ.get("HOLDFAST_TRACE") == "1"
SANITIZE = os.environ.get("HOLDFAST_SANITIZE") == "1"
NO_EXTENSIONS = os.environ.get("HOLDFAST_NO_EXTENSIONS") == "1"

COMPILE = ["-O1", "-g"] if TRACE or SANITIZE else ["-O2", "-g1"]
COMPILE += ["-fno-strict-aliasing", "-Wno-unused-function", "-Wno-unused-but-set-variable"]
# No multiply-and-add in one rounding: a simulated run is the same on every processor.
COMPILE += ["-ffp-contract=off"]
# Two mappings fewer for each module: a fork copies them all.
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


def extensions() -> list[Extension]:
    """One extension a ``.pyx`` file, named by its place below ``src``."""
    if NO_EXTENSIONS:
        return []
    found = []
    for path in sorted(Path("src").rglob("*.pyx")):
        name = ".".join(path.relative_to("src").with_suffix("").parts)
        found.append(
            Extension(
                name,
                [str(path)],
                extra_compile_args=COMPILE,
                extra_link_args=LINK,
                define_macros=MACROS,
            )
        )
    return found


setup(
    ext_modules=cythonize(
        extensions(),
        include_path=["src"],
        compiler_directives=DIRECTIVES,
        # Where a new process starts from nothing (macOS, Python 3.14) it would run this file again.
        nthreads=(os.cpu_count() or 1) if multiprocessing.get_start_method() == "fork" else 0,
    )
)
