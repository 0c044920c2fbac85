"""What a crash may leave of recorded calls: any prefix of them, without any part that was not brought to disk.

The model is that of a journal without order: an entry of a folder is certain once that folder was synced after it,
bytes of a file once the file was.  Of all else, any subset may be there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

MOST_SUBSETS = 6
"""Of more uncertain calls than these, only some subsets are taken: all, none, each one lost, each one alone there."""

ENTRIES = ("mkdir", "create", "link", "unlink", "rename")


@dataclass(frozen=True)
class Call:
    """A call that changed the disk, and the file (by number) that it spoke of."""

    what: str
    path: str
    other: str
    file: int


@dataclass(frozen=True)
class CrashState:
    """Folders and files after a crash within the first `n_calls` calls."""

    n_calls: int
    folders: frozenset[str]
    files: frozenset[tuple[str, bytes]]

    def put(self, root: Path, of: Path) -> None:
        """Write it out below `root`; its paths are below `of`."""
        root.mkdir(parents=True, exist_ok=True)
        for folder in sorted(self.folders):
            (root / Path(folder).relative_to(of)).mkdir(exist_ok=True)
        for path, content in self.files:
            (root / Path(path).relative_to(of)).write_bytes(content)


def read_calls(path: Path) -> list[Call]:
    """Read what `failing_disk.c` recorded."""
    calls, at, n_files = [], {}, 0
    for line in path.read_text().splitlines():
        what, name, other = line.split("\t")
        if what == "create":
            n_files += 1
            at[name] = n_files
        file = at.get(name, 0)
        if what in ("link", "rename"):
            at[other] = file
        if what in ("unlink", "rename"):
            del at[name]
        calls.append(Call(what, name, other, file))
    return calls


def crash_states(calls: Sequence[Call], root: Path) -> Iterator[CrashState]:
    """Give every state, each once for the longest prefix that leads to it."""
    seen: dict[tuple[frozenset[str], frozenset[tuple[str, bytes]]], CrashState] = {}
    for prefix in _prefixes(calls):
        n_calls = len(prefix)
        uncertain = [i for i, call in enumerate(prefix) if call.what != "fsync" and not _certain(prefix, i)]
        for lost in _subsets(uncertain):
            state = _state(prefix, frozenset(lost), root, n_calls)
            seen[state.folders, state.files] = state
    yield from seen.values()


def _prefixes(calls: Sequence[Call]) -> Iterator[list[Call]]:
    """Every prefix; one that ends in a write also with half of it."""
    for n_calls in range(len(calls) + 1):
        prefix = list(calls[:n_calls])
        if prefix and prefix[-1].what == "write":
            half = prefix[-1].other[: len(prefix[-1].other) // 4 * 2]
            yield [*prefix[:-1], replace(prefix[-1], other=half)]
        yield prefix


def _certain(prefix: Sequence[Call], index: int) -> bool:
    call = prefix[index]
    syncs = [later for later in prefix[index + 1 :] if later.what == "fsync"]
    if call.what in ENTRIES:
        return any(later.path == str(Path(call.path).parent) for later in syncs)
    return any(later.file == call.file for later in syncs)


def _subsets(uncertain: list[int]) -> Iterator[tuple[int, ...]]:
    if len(uncertain) <= MOST_SUBSETS:
        for size in range(len(uncertain) + 1):
            yield from combinations(uncertain, size)
        return
    yield from ((), tuple(uncertain))
    for one in uncertain:
        yield (one,)
        yield tuple(other for other in uncertain if other != one)


def _state(prefix: Sequence[Call], lost: frozenset[int], root: Path, n_calls: int) -> CrashState:
    folders, names, contents = {str(root)}, {}, {}
    for index, call in enumerate(prefix):
        if call.what == "fsync" or index in lost:
            continue
        if call.what == "mkdir":
            folders.add(call.path)
        elif call.what == "create":
            names[call.path] = call.file
        elif call.what == "write":
            contents[call.file] = contents.get(call.file, b"") + bytes.fromhex(call.other)
        elif call.what == "truncate":
            contents[call.file] = b""
        else:
            _rename(names, call)
    reached = {folder for folder in folders if all(str(up) in folders for up in _between(folder, root))}
    files = {
        (name, contents.get(file, b"")) for name, file in names.items() if str(Path(name).parent) in reached
    }
    return CrashState(n_calls, frozenset(reached - {str(root)}), frozenset(files))


def _rename(names: dict[str, int], call: Call) -> None:
    if call.what in ("link", "rename"):
        names[call.other] = call.file
    if call.what in ("unlink", "rename"):
        names.pop(call.path, None)


def _between(folder: str, root: Path) -> list[Path]:
    return [up for up in (Path(folder), *Path(folder).parents) if up.is_relative_to(root)]
