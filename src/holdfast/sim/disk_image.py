"""What a power loss leaves: contents by blocks, names by directories.

What this is: the state below `disk`, pure but for the luck handed in. What it is
not: files as programs see them.

How to read it: an `Inode` keeps the present content and, instead of a second copy,
what it would take to go back: a `Layer` for each sync that was begun and has not
ended, with the blocks overwritten since (as they were) and the size then. The durable
content is the present one with all layers undone. `Names` keeps the directory entries
twice, as programs see them and as they are durable, with the changes between them in
order.
"""

from __future__ import annotations

import posixpath
import random

BLOCK_BYTES = 4096
SECTOR_BYTES = 512

Piece = bytes | bytearray | memoryview


class Layer:
    """What a file was when a sync began."""

    __slots__ = ("blocks", "size")

    def __init__(self, size: int) -> None:
        """Begin with nothing overwritten."""
        self.size = size
        self.blocks: dict[int, bytes] = {}


class Inode:
    """A file's content, present and durable."""

    __slots__ = ("_failed", "_layers", "content")

    def __init__(self) -> None:
        """Make an empty file whose emptiness is durable."""
        self.content = bytearray()
        self._layers = [Layer(0)]
        self._failed: dict[int, bytes] = {}
        """Blocks that a failed sync dropped: believed clean, never written (start of block to bytes)."""

    def write(self, position: int, piece: Piece) -> None:
        """Put `piece` at `position`; a gap before it reads as zeros."""
        content = self.content
        size = len(piece)
        if not size:
            return
        if position > len(content):
            content.extend(bytes(position - len(content)))
        self._remember(position, position + size)
        content[position : position + size] = piece

    def truncate(self, size: int) -> None:
        """Cut or extend to `size` bytes."""
        content = self.content
        if size < len(content):
            self._remember(size, len(content))
            del content[size:]
        else:
            content.extend(bytes(size - len(content)))

    def _remember(self, start: int, end: int) -> None:
        layer = self._layers[-1]
        for block in range(start // BLOCK_BYTES * BLOCK_BYTES, min(end, layer.size), BLOCK_BYTES):
            if block not in layer.blocks:
                layer.blocks[block] = bytes(self.content[block : min(block + BLOCK_BYTES, layer.size)])
        if self._failed:
            for block in range(start // BLOCK_BYTES * BLOCK_BYTES, end, BLOCK_BYTES):
                self._failed.pop(block, None)

    def sync(self) -> None:
        """Make the present content durable."""
        self._layers = [Layer(len(self.content))]

    def begin_sync(self) -> Layer:
        """Begin to make the present content durable; `end_sync` takes the mark returned."""
        mark = Layer(len(self.content))
        self._layers.append(mark)
        return mark

    def end_sync(self, mark: Layer) -> None:
        """Make durable what the content was at `mark`."""
        for place, layer in enumerate(self._layers):
            if layer is mark:
                del self._layers[:place]
                return

    def fail_sync(self) -> None:
        """Drop what a sync should have written: later syncs take it for clean."""
        durable = self.durable()
        for block in range(0, len(self.content), BLOCK_BYTES):
            old = bytes(durable[block : block + BLOCK_BYTES])
            if old != self.content[block : block + BLOCK_BYTES]:
                self._failed[block] = old
        self._layers = [Layer(len(self.content))]

    def durable(self) -> bytearray:
        """Return what is certain to survive."""
        image = bytearray(self.content)
        for layer in reversed(self._layers):
            resize(image, layer.size)
            for block, old in layer.blocks.items():
                image[block : block + len(old)] = old
        for block, old in self._failed.items():
            end = min(len(image), block + BLOCK_BYTES)
            if block < end:
                image[block:end] = old[: end - block].ljust(end - block, b"\0")
        return image

    def lose_power(self, luck: random.Random) -> bool:
        """Become durable content with some of the rest, by luck; tell whether anything was lost."""
        durable, present = self.durable(), self.content
        changed = durable != present
        if changed:
            self.content = blend(durable, present, luck)
            changed = self.content != present
        self._layers = [Layer(len(self.content))]
        self._failed = {}
        return changed

    def flip_bits(self, luck: random.Random, count: int) -> list[int]:
        """Flip bits behind everybody's back; return the byte offsets."""
        offsets = [luck.randrange(len(self.content)) for _ in range(count if self.content else 0)]
        for offset in offsets:
            self.content[offset] ^= 1 << luck.randrange(8)
        return offsets


def resize(image: bytearray, size: int) -> None:
    """Cut or extend by zeros, in place."""
    if size < len(image):
        del image[size:]
    else:
        image.extend(bytes(size - len(image)))


def blend(durable: bytearray, present: bytearray, luck: random.Random) -> bytearray:
    """Return what a disk holds that had written some of the way from `durable` to `present`."""
    fate = luck.randrange(4)
    if fate == 0:
        return bytearray(durable)
    if fate == 1:
        return bytearray(present)
    short, long = sorted((len(durable), len(present)))
    size = luck.choice((len(durable), len(present), luck.randint(short, long)))
    result = bytearray(present[:size])
    resize(result, size)
    if fate == 2 and len(present) >= len(durable) and present[: len(durable)] == durable:
        return result  # an appended file, cut anywhere
    for block in range(0, size, BLOCK_BYTES):
        end = min(block + BLOCK_BYTES, size)
        old = durable[block:end].ljust(end - block, b"\0")
        if old != result[block:end]:
            written = luck.choice((0, end - block, luck.randrange(0, BLOCK_BYTES, SECTOR_BYTES)))
            result[block + min(written, end - block) : end] = old[min(written, end - block) :]
    return result


class Change:
    """A change of directory entries that is not durable yet."""

    __slots__ = ("added", "directories", "inode", "made", "removed")

    def __init__(
        self,
        *,
        removed: str | None = None,
        added: str | None = None,
        inode: Inode | None = None,
        made: str | None = None,
    ) -> None:
        """Describe a removal, an addition, both (a rename), or a directory `made`."""
        self.removed = removed
        self.added = added
        self.inode = inode
        self.made = made
        touched = (posixpath.dirname(path) for path in (removed, added, made) if path is not None)
        self.directories = tuple(dict.fromkeys(touched))


class Names:
    """Directory entries, present and durable."""

    def __init__(self, working_directory: str) -> None:
        """Begin with the root and an empty working directory."""
        self.files: dict[str, Inode] = {}
        self.directories: dict[str, None] = {"/": None, working_directory: None}
        self._durable_files: dict[str, Inode] = {}
        self._durable_directories = dict(self.directories)
        self._changes: list[Change] = []

    def add(self, path: str, inode: Inode) -> None:
        """Enter a new file."""
        self.files[path] = inode
        self._changes.append(Change(added=path, inode=inode))

    def remove(self, path: str) -> None:
        """Remove a file's entry."""
        del self.files[path]
        self._changes.append(Change(removed=path))

    def rename(self, old: str, new: str) -> None:
        """Move an entry in one step."""
        inode = self.files.pop(old)
        self.files[new] = inode
        self._changes.append(Change(removed=old, added=new, inode=inode))

    def make_directory(self, path: str) -> None:
        """Enter a new directory."""
        self.directories[path] = None
        self._changes.append(Change(made=path))

    def children(self, directory: str) -> list[str]:
        """Return the names in a directory, sorted."""
        paths = list(self.files) + [path for path in self.directories if path != "/"]
        return sorted(posixpath.basename(path) for path in paths if posixpath.dirname(path) == directory)

    def sync(self, directory: str) -> None:
        """Make the changes that touch a directory durable."""
        later: list[Change] = []
        for change in self._changes:
            if directory in change.directories:
                if change.removed is not None and change.added is not None:
                    # The old name's own creation may wait in another directory: it is history now.
                    later = [other for other in later if other.added != change.removed]
                self._apply(change)
            else:
                later.append(change)
        self._changes = later

    def _apply(self, change: Change) -> None:
        if change.removed is not None:
            self._durable_files.pop(change.removed, None)
        if change.added is not None and change.inode is not None:
            self._durable_files[change.added] = change.inode
        if change.made is not None:
            self._durable_directories[change.made] = None

    def lose_power(self, luck: random.Random) -> list[str]:
        """Fall back to durable names and some later ones, by luck; return the paths that changed."""
        before = dict(self.files)
        spared: dict[str, int] = {}
        for change in self._changes:
            for directory in change.directories:
                spared[directory] = spared.get(directory, 0) + 1
        for directory, count in spared.items():
            spared[directory] = luck.randint(0, count)
        for change in self._changes:
            survives = all(spared[directory] > 0 for directory in change.directories)
            for directory in change.directories:
                spared[directory] = spared[directory] - 1 if survives else 0
            if survives:
                self._apply(change)
        self._changes = []
        self._drop_orphans()
        self.files = dict(self._durable_files)
        self.directories = dict(self._durable_directories)
        changed = []
        for path, inode in self.files.items():
            if inode.lose_power(luck) or before.get(path) is not inode:
                changed.append(path)
        return sorted(changed + [path for path in before if path not in self.files])

    def _drop_orphans(self) -> None:
        kept: dict[str, None] = {}
        for directory in sorted(self._durable_directories):
            if directory == "/" or posixpath.dirname(directory) in kept:
                kept[directory] = None
        self._durable_directories = kept
        self._durable_files = {
            path: inode for path, inode in self._durable_files.items() if posixpath.dirname(path) in kept
        }
