"""The repository tested as a whole: links, paths, docstrings, borders between layers.

This is not about what Holdfast does; it is about what its files say of each
other, which no other tool of `make check` reads. Only files that git tracks,
or would track, are looked at.

How to read it: one test is one rule; the small readers of files are at the end.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "docs/**/*.md"]
FOLDERS = ("src", "tests", "docs", "bench", "tools", ".ci")

MACHINE_PATHS = re.compile(r"(?<![\w.{}/-])/(?:work|home|root|Users|mnt)/[\w.]")
# What a compiled module may not cimport: the engine reads no clock and has no luck of its own.
BANNED_CIMPORTS = re.compile(r"^\s*(?:from|cimport)\s+(libc\.time|posix\.time)\b", re.MULTILINE)
BANNED_IMPORTS = re.compile(
    r"^\s*(?:import\s+(?:time|random|secrets|uuid)\b|from\s+(?:time|random|secrets|uuid)\s+import)",
    re.MULTILINE,
)


def test_every_link_in_the_documents_leads_somewhere() -> None:
    broken = []
    for document in documents():
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            there = (document.parent / path) if path else document
            if not there.exists():
                broken.append(f"{relative(document)}: {target}")
            elif anchor and there.suffix == ".md" and anchor not in anchors(there):
                broken.append(f"{relative(document)}: {target} has no such heading")
    assert not broken


def test_every_path_that_the_documents_name_exists() -> None:
    missing = []
    for document in documents():
        for name in re.findall(r"`([^`\s]+)`", prose(document)):
            path = name.split(":")[0]
            if path.startswith(tuple(f"{folder}/" for folder in FOLDERS)) and not any_match(path):
                missing.append(f"{relative(document)}: {name}")
    assert not missing


def test_every_make_target_that_the_documents_name_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    for document in documents():
        for target in re.findall(r"`make ([a-z-]+)", prose(document)):
            assert target in targets, f"{relative(document)} names make {target}"


def test_the_pages_of_directives_and_commands_are_current() -> None:
    asked = subprocess.run(
        [sys.executable, "tools/reference_pages.py", "--check"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "src"},
        capture_output=True,
        text=True,
    )
    assert asked.returncode == 0, asked.stdout + asked.stderr


def test_every_python_module_opens_with_a_docstring() -> None:
    bare = [relative(path) for path in tracked("*.py") if not opens_with_docstring(path)]
    assert not bare


def test_every_cython_module_opens_with_words_on_what_it_is() -> None:
    bare = [
        relative(path)
        for path in tracked("*.pyx", "*.pxd", "*.pyi")
        if not path.read_text().lstrip().startswith(('"""', 'r"""', "#"))
    ]
    assert not bare


def test_every_pyx_has_its_contents_page() -> None:
    lonely = [relative(path) for path in tracked("*.pyx") if not path.with_suffix(".pxd").exists()]
    assert not lonely


def test_cimports_keep_to_the_layers() -> None:
    height = layer_heights()
    upward = []
    for path in tracked("*.pyx", "*.pxd"):
        own = layer_of(path)
        for target in re.findall(r"^\s*(?:from|cimport)\s+holdfast\.(\w+)", path.read_text(), re.MULTILINE):
            if target == own or target not in height:
                continue
            if own != "sim" and height[target] <= height[own]:
                upward.append(f"{relative(path)} takes from {target}")
    assert not upward


def test_compiled_modules_have_no_clock_and_no_luck_of_their_own() -> None:
    found = []
    for path in tracked("*.pyx", "*.pxd"):
        text = path.read_text()
        if BANNED_CIMPORTS.search(text) or BANNED_IMPORTS.search(text):
            found.append(relative(path))
    assert not found


def test_only_the_owners_of_the_disk_call_open() -> None:
    """The names that ruff can ban are in pyproject.toml; the owners are its per-file-ignores there."""
    ignores = project()["tool"]["ruff"]["lint"]["per-file-ignores"]  # type: ignore[index]
    owners = [pattern for pattern, rules in ignores.items() if "TID251" in rules]
    calls = []
    for path in tracked("src/*.py"):
        if any(path.match(pattern) or fnmatch(relative(path), pattern) for pattern in owners):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
                calls.append(f"{relative(path)}:{node.lineno}")
    assert not calls


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    found = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{relative(path)}: {match.group()}" for match in MACHINE_PATHS.finditer(text)]
    assert not found


def test_the_lock_file_pins_everything_with_hashes_and_no_address() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    pins = re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)
    locked = {canonical(name) for name in pins}
    assert text.count("--hash=sha256:") >= len(pins)
    for requirement in declared_requirements():
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        assert name and canonical(name.group()) in locked, f"{requirement}: run `make lock`"


def test_the_source_distribution_lists_every_kind_of_source() -> None:
    manifest = (ROOT / "MANIFEST.in").read_text()
    kinds = {path.suffix for path in tracked() if relative(path).startswith("src/") and path.suffix}
    line = next(line for line in manifest.splitlines() if line.startswith("recursive-include src "))
    listed = {f".{kind}" for kind in re.findall(r"\*\.(\w+)", line)}
    assert kinds <= listed | {".typed"}


# ------------------------------------------------------------------ readers


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tracked(*patterns: str) -> list[Path]:
    """Return the files that git tracks or would; skip where this is no clone (a source distribution)."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]
    asked = subprocess.run([*command, *patterns], capture_output=True, text=True)
    if asked.returncode != 0:
        pytest.skip("not a clone")
    return [path for name in asked.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def documents() -> list[Path]:
    return sorted(path for pattern in DOCUMENTS for path in ROOT.glob(pattern))


def prose(document: Path) -> str:
    """Return a document without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as they are made by the usual renderers."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def any_match(path: str) -> bool:
    if any(sign in path for sign in "<>{}"):
        return True
    return any(ROOT.glob(path)) if "*" in path else (ROOT / path).exists()


def opens_with_docstring(path: Path) -> bool:
    tree = ast.parse(path.read_text())
    return ast.get_docstring(tree) is not None


def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def layer_heights() -> dict[str, int]:
    """Return the row of each layer, 0 on top, from the contract in pyproject.toml."""
    contracts = project()["tool"]["importlinter"]["contracts"]  # type: ignore[index]
    layers = next(contract["layers"] for contract in contracts if contract["id"] == "layers")
    return {name: row for row, line in enumerate(layers) for name in re.findall(r"\w+", line)}


def layer_of(path: Path) -> str:
    return path.relative_to(ROOT / "src" / "holdfast").parts[0]


def declared_requirements() -> list[str]:
    table = project()
    declared = list(table["project"]["dependencies"])  # type: ignore[index]
    for extra in table["project"]["optional-dependencies"].values():  # type: ignore[index]
        declared += extra
    return declared + table["dependency-groups"]["dev"]  # type: ignore[index]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
