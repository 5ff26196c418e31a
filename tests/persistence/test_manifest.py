"""The manifest: its format, its steps, and what happens when it does not tell the truth."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.persistence.manifest import (
    Entry,
    Kind,
    Manifest,
    ManifestError,
    format_manifest,
    parse_manifest,
)
from holdfast.persistence.manifest_store import AofPlace, find_lies, load_manifest, store_manifest
from tests.persistence.commands import command, read, write
from tests.persistence.disks import LocalDisk

TEXT = (
    b"file appendonly.aof.2.base.rdb seq 2 type b\n"
    b"file appendonly.aof.3.incr.aof seq 3 type h\n"
    b"file appendonly.aof.4.incr.aof seq 4 type i\n"
    b"file appendonly.aof.5.incr.aof seq 5 type i\n"
)


def test_reading_and_writing_a_manifest_returns_the_same_bytes() -> None:
    manifest = parse_manifest(TEXT, "m")
    assert [entry.name for entry in manifest.files] == [
        "appendonly.aof.2.base.rdb",
        "appendonly.aof.4.incr.aof",
        "appendonly.aof.5.incr.aof",
    ]
    assert (manifest.base_sequence, manifest.increment_sequence) == (2, 5)
    assert format_manifest(manifest) == TEXT


def test_comments_unknown_pairs_and_quoted_names_are_understood() -> None:
    text = b'# made by hand\nFILE "a \\"b\\"\\x41" SEQ 1 TYPE b color blue\n'
    manifest = parse_manifest(text, "m")
    assert manifest.base == Entry('a "b"A', 1, Kind.BASE)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (b"", 0, "empty"),
        (b"# nothing\n", 0, "names no file"),
        (b"file a seq 1 type b", 1, "cut short"),
        (b"file a seq 1 type b\nfile b seq 2 typ", 2, "cut short"),
        (b"file " + b"a" * 1100 + b" seq 1 type b\n", 1, "too long"),
        (b"\n", 1, "Invalid AOF manifest file format"),
        (b"file a seq 1\n", 1, "Invalid AOF manifest file format"),
        (b"file a seq 1 type b more\n", 1, "Invalid AOF manifest file format"),
        (b"file a seq 1 type b seq 2\n", 1, "seq twice"),
        (b"file ../a seq 1 type b\n", 1, "can't be a path"),
        (b"file a seq 0 type b\n", 1, "Invalid sequence number"),
        (b"file a seq 1x type b\n", 1, "Invalid sequence number"),
        (b"file a seq -1 type b\n", 1, "Invalid sequence number"),
        (b"file a seq 1 type x\n", 1, "Unknown AOF file type"),
        (b"file a seq 1 type base\n", 1, "Unknown AOF file type"),
        (b'file "a seq 1 type b\n', 1, "unbalanced"),
        (b"file a seq 1 type b\nfile b seq 2 type b\n", 2, "duplicate base"),
        (b"file a seq 2 type i\nfile b seq 1 type i\n", 2, "non-monotonic"),
        (b"file a seq 1 type i\nfile b seq 1 type i\n", 2, "non-monotonic"),
        (b"file a seq 1 type i\nfile a seq 2 type i\n", 2, "twice"),
    ],
)
def test_a_malformed_manifest_is_refused_with_file_and_line(text: bytes, line: int, reason: str) -> None:
    with pytest.raises(ManifestError, match=reason) as caught:
        parse_manifest(text, "dir/m")
    assert caught.value.line == line
    assert "dir/m" in str(caught.value)


@given(
    st.text(min_size=1, max_size=60).filter(lambda name: not set("/\\\0") & set(name) and name not in "..")
)
def test_any_file_name_survives_writing_and_reading(name: str) -> None:
    if any(0xD800 <= ord(c) <= 0xDFFF for c in name):
        return
    manifest = Manifest(base=Entry(name, 1, Kind.BASE), base_sequence=1)
    assert parse_manifest(format_manifest(manifest), "m") == manifest


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    try:
        parse_manifest(text, "m")
    except ManifestError:
        pass


def test_a_rewrite_moves_base_and_increments_to_history() -> None:
    manifest = Manifest().with_base("a", rdb=True).with_increment("a").with_increment("a")
    done = manifest.with_base("a", rdb=False).with_increments_done(keep=1)
    assert [e.name for e in done.files] == ["a.2.base.aof", "a.2.incr.aof"]
    assert [e.name for e in done.history] == ["a.1.incr.aof", "a.1.base.rdb"]
    assert done.without_history().history == ()


def place_in(path: Path) -> AofPlace:
    place = AofPlace(str(path))
    LocalDisk().makedirs(place.directory)
    return place


def test_a_missing_file_stops_the_start(tmp_path: Path) -> None:
    disk, place = LocalDisk(), place_in(tmp_path)
    store_manifest(
        disk, place, Manifest().with_base("appendonly.aof", rdb=False).with_increment("appendonly.aof")
    )
    write(place.path("appendonly.aof.1.incr.aof"), b"")
    with pytest.raises(
        ManifestError, match=r"appendonly.aof.1.base.aof: the manifest names this file, but it is missing"
    ):
        load_manifest(disk, place)


def test_files_without_their_manifest_stop_the_start(tmp_path: Path) -> None:
    disk, place = LocalDisk(), place_in(tmp_path)
    write(place.path("appendonly.aof.1.incr.aof"), command("SET", "a", "b"))
    with pytest.raises(ManifestError, match="the manifest is missing"):
        load_manifest(disk, place)


def test_an_increment_left_out_in_the_middle_is_fatal_and_one_at_the_end_is_told() -> None:
    manifest = parse_manifest(b"file a.1.incr.aof seq 1 type i\nfile a.3.incr.aof seq 3 type i\n", "m")
    sizes = {"a.1.incr.aof": 5, "a.3.incr.aof": 5}
    assert find_lies(manifest, sizes, "a") == ()
    (lie,) = find_lies(manifest, sizes | {"a.2.incr.aof": 5}, "a")
    assert lie.fatal
    (lie,) = find_lies(manifest, sizes | {"a.4.incr.aof": 5}, "a")
    assert not lie.fatal and "later increment" in lie.reason
    assert find_lies(manifest, sizes | {"a.4.incr.aof": 0}, "a") == ()


def test_a_failed_replacement_leaves_the_old_manifest(tmp_path: Path) -> None:
    disk, place = LocalDisk(), place_in(tmp_path)
    first = Manifest().with_increment("appendonly.aof")
    store_manifest(disk, place, first)
    disk.space_left = 10
    with pytest.raises(OSError, match="No space"):
        store_manifest(disk, place, first.with_increment("appendonly.aof"))
    assert read(place.manifest_path) == format_manifest(first)


@pytest.mark.parametrize("stage", ["nothing done", "directory made", "manifest written", "moved"])
def test_an_upgrade_cut_short_at_any_stage_is_taken_up_again(tmp_path: Path, stage: str) -> None:
    disk = LocalDisk()
    place = AofPlace(str(tmp_path))
    content = command("SET", "a", "b")
    upgraded = Manifest().with_upgraded_base("appendonly.aof")
    if stage != "nothing done":
        disk.makedirs(place.directory)
    if stage in ("manifest written", "moved"):
        store_manifest(disk, place, upgraded)
    write(place.path("appendonly.aof") if stage == "moved" else place.single_file_path, content)
    manifest, lies = load_manifest(disk, place)
    assert manifest == upgraded and lies == ()
    assert read(place.path("appendonly.aof")) == content
    assert not disk.exists(place.single_file_path)
