# SPDX-License-Identifier: BSD-3-Clause
"""One walk over a repository: every file gets a type with the values of its path, or a reason.

Directories into which no template leads are named, but not opened.  What is found is kept
in columns, type by type.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lakebutler.gen2.automaton import Node, State
from lakebutler.gen2.template import Template

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["NO_TEMPLATE", "Found", "Hits", "Walked", "files_below", "place_others", "printable", "walk"]

NO_TEMPLATE = "no template leads there"
"""Why most directories are not opened."""

NOT_A_DATASET = "not a dataset"

_FLUSH = 50_000
_LAST = chr(0x10FFFF)


@dataclass(frozen=True)
class Found:
    """A file, or a directory, that is no dataset.

    Attributes
    ----------
    path : `str`
        Relative to the root, printable.
    reason : `str`
        Why.
    """

    path: str
    reason: str


class Hits:
    """Files of one template: their paths and the values of its keys, in columns.

    Parameters
    ----------
    template : `Template`
        The template.
    """

    def __init__(self, template: Template) -> None:
        self.template = template
        self.count = 0
        self._names: list[str] = []
        self._values: list[tuple[str, ...]] = []
        self._places: list[tuple[int, str, tuple[str, ...]]] = []
        self._batches: list[pa.RecordBatch] = []

    def extend(
        self, directory: str, known: tuple[str, ...], names: list[str], values: list[tuple[str, ...]]
    ) -> None:
        """Add files of one directory.

        Parameters
        ----------
        directory : `str`
            Relative to the root, with a slash at its end, or empty.
        known : `tuple` [`str`]
            Values that the directory tells.
        names : `list` [`str`]
            Names of files.
        values : `list` [`tuple`]
            Values that each name tells.
        """
        self._places.append((len(names), directory, known))
        self._names += names
        self._values += values
        self.count += len(names)
        if len(self._names) >= _FLUSH:
            self._flush()

    def _flush(self) -> None:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self._names:
            return
        counts = np.fromiter((place[0] for place in self._places), np.int64, len(self._places))
        rows = pa.array(np.repeat(np.arange(len(counts)), counts))
        directories = pa.array([place[1] for place in self._places], pa.string()).take(rows)
        columns = {"path": pc.binary_join_element_wise(directories, pa.array(self._names, pa.string()), "")}
        known = list(zip(*[place[2] for place in self._places], strict=True))
        own = list(zip(*self._values, strict=True))
        for i, key in enumerate(self.template.keys):
            if i < len(known):
                columns[key] = pa.array(known[i], pa.string()).take(rows)
            else:
                columns[key] = pa.array(own[i - len(known)], pa.string())
        self._batches.append(pa.RecordBatch.from_arrays(list(columns.values()), list(columns)))
        self._names, self._values, self._places = [], [], []

    def table(self) -> pa.Table:
        """Give all as columns: ``path`` and the template's keys, as text.

        Returns
        -------
        table : `pyarrow.Table`
            A row for each file, in the order of the walk: names of a directory are sorted.
        """
        import pyarrow as pa

        self._flush()
        schema = pa.schema([(name, pa.string()) for name in ("path", *self.template.keys)])
        table = pa.Table.from_batches(self._batches, schema)
        self._batches = []
        return table


@dataclass
class Walked:
    """What a walk found.

    Attributes
    ----------
    hits : `dict` [`str`, `Hits`]
        By dataset type.
    ignored, unrecognised, unusable, pruned : `list` [`Found`]
        Files that are known to be no datasets; that nobody knows; that cannot be used;
        directories that were not opened.
    opened : `int`
        Directories that were opened.
    notes : `list` [`str`]
        What was ambiguous.
    """

    hits: dict[str, Hits] = field(default_factory=dict)
    ignored: list[Found] = field(default_factory=list)
    unrecognised: list[Found] = field(default_factory=list)
    unusable: list[Found] = field(default_factory=list)
    pruned: list[Found] = field(default_factory=list)
    opened: int = 0
    notes: list[str] = field(default_factory=list)


def walk(
    root: str,
    tree: Node,
    *,
    ignored: Sequence[str] = (),
    skip: Collection[str] = (),
    wanted: Callable[[tuple[str, ...], tuple[str, ...]], bool] | None = None,
) -> Walked:
    """Walk over a repository.

    Parameters
    ----------
    root : `str`
        Its directory.
    tree : `Node`
        Its templates.
    ignored : sequence of `str`
        Globs of names that are no datasets.
    skip : collection of `str`
        Absolute paths of directories that are looked at otherwise.
    wanted : callable, optional
        Says by keys and values whether a directory is wanted.

    Returns
    -------
    walked : `Walked`
        All that was found.
    """
    walker = _Walker(root, ignored, frozenset(skip), wanted)
    walker.run(tree)
    return walker.found


def printable(name: str) -> str:
    """Write a name so that it can be stored, whatever bytes it has.

    Parameters
    ----------
    name : `str`
        As the system gives it.

    Returns
    -------
    text : `str`
        The same, if it is UTF-8; else with escapes.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    return name


def place_others(walked: Walked, others: Iterable[tuple[str, str]], ignored: Sequence[str]) -> None:
    """Put what was seen without a walk where it belongs.

    Parameters
    ----------
    walked : `Walked`
        Takes it.
    others : iterable of `tuple` [`str`]
        Path and reason; directories end in ``/``.
    ignored : sequence of `str`
        Globs of names that are no datasets.
    """
    known = _any_of(ignored)
    for path, reason in others:
        shown = printable(path.rstrip("/"))
        if path.endswith("/"):
            walked.pruned.append(Found(shown, reason))
        elif known.match(path.rpartition("/")[2]):
            walked.ignored.append(Found(shown, NOT_A_DATASET))
        else:
            walked.unrecognised.append(Found(shown, reason))


def _any_of(globs: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(glob) for glob in globs) or r"(?!)")


def files_below(root: str, directory: str, skip: Collection[str] = ()) -> tuple[list[str], list[Found]]:
    """List all that lies in a directory that no template leads to.

    Parameters
    ----------
    root : `str`
        The repository.
    directory : `str`
        The directory in it; a link is not followed, and is listed itself.
    skip : collection of `str`, optional
        Absolute paths of directories that are looked at otherwise.

    Returns
    -------
    paths : `list` [`str`]
        Files and links, relative to the repository, printable.
    unusable : `list` [`Found`]
        Directories that cannot be read.
    """
    paths: list[str] = []
    unusable: list[Found] = []
    if os.path.islink(f"{root}/{directory}"):
        return [printable(directory)], unusable
    waiting = [directory]
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(f"{root}/{place}") as entries:
                for entry in entries:
                    path = f"{place}/{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        if f"{root}/{path}" not in skip:
                            waiting.append(path)
                    else:
                        paths.append(printable(path))
        except OSError as error:
            unusable.append(Found(printable(place), f"the directory cannot be read: {error.strerror}"))
    return sorted(paths), unusable


def _match_lines(many: re.Pattern[str], prefix: str, names: Sequence[str]) -> list[tuple[str, ...]] | None:
    """Match many names in one call; `None` if one of them does not fit."""
    text = prefix + f"\n{prefix}".join(names)
    found = many.findall(text)
    if len(found) != len(names) or text.count("\n") != len(names) - 1:
        return None
    if many.groups == 1:
        return [(value,) for value in found]
    return found if many.groups else [()] * len(names)


class _Walker:
    """One walk."""

    def __init__(
        self,
        root: str,
        ignored: Sequence[str],
        skip: frozenset[str],
        wanted: Callable[[tuple[str, ...], tuple[str, ...]], bool] | None,
    ) -> None:
        self.root = root.rstrip("/")
        self.skip = skip
        self.wanted = wanted
        self.found = Walked()
        self.ignored = _any_of(ignored)

    def run(self, tree: Node) -> None:
        """Walk: depth first, names in order."""
        waiting: list[tuple[str, list[State], frozenset[tuple[int, int]]]] = []
        waiting.append(("", [State(tree, (), "")], frozenset()))
        while waiting:
            directory, states, above = waiting.pop()
            below, links, names = self._list(directory)
            self._files(directory, states, names)
            more: list[tuple[str, list[State], frozenset[tuple[int, int]]]] = []
            for name in below:
                self._enter(directory, name, states, above, more)
            for name, target in links:
                self._enter(directory, name, states, above, more, target)
            waiting += reversed(more)

    def _list(self, directory: str) -> tuple[list[str], list[tuple[str, tuple[int, int]]], list[str]]:
        """Names of directories, of links to directories, and of files."""
        below: list[str] = []
        links: list[tuple[str, tuple[int, int]]] = []
        names: list[str] = []
        self.found.opened += 1
        place = f"{self.root}/{directory}"
        try:
            with os.scandir(place) as entries:
                every = list(entries)
                names = [entry.name for entry in every if entry.is_file(follow_symlinks=False)]
                for entry in every if len(names) < len(every) else ():
                    if entry.is_dir(follow_symlinks=False):
                        below.append(entry.name)
                    elif not entry.is_file(follow_symlinks=False):
                        self._other(directory, entry, links, names)
        except OSError as error:
            self.found.unusable.append(
                Found(printable(directory) or ".", f"the directory cannot be read: {error.strerror}")
            )
        below.sort()
        links.sort()
        names.sort()
        return below, links, names

    def _other(
        self,
        directory: str,
        entry: os.DirEntry[str],
        links: list[tuple[str, tuple[int, int]]],
        names: list[str],
    ) -> None:
        """Look at a link, or at what is neither a file nor a directory."""
        if entry.is_symlink():
            try:
                found = entry.stat()
            except OSError as error:
                if not self.ignored.match(entry.name):
                    loop = error.errno == errno.ELOOP
                    why = (
                        "a link that goes round in a circle" if loop else "a link to a file that is not there"
                    )
                    self.found.unusable.append(Found(printable(directory + entry.name), why))
                return
            if found.st_mode & 0o170000 == 0o040000:
                links.append((entry.name, (found.st_dev, found.st_ino)))
                return
            if found.st_mode & 0o170000 == 0o100000:
                names.append(entry.name)
                return
        self.found.unusable.append(Found(printable(directory + entry.name), "neither a file nor a directory"))

    def _enter(
        self,
        directory: str,
        name: str,
        states: Sequence[State],
        above: frozenset[tuple[int, int]],
        more: list[tuple[str, list[State], frozenset[tuple[int, int]]]],
        link: tuple[int, int] | None = None,
    ) -> None:
        path = directory + name
        if self.skip and os.path.realpath(f"{self.root}/{path}") in self.skip:
            return
        if not directory and self.ignored.match(name):
            return
        following = [
            below
            for state in states
            for below in state.below(name)
            if self.wanted is None or self.wanted(below.node.known, below.values)
        ]
        if not following:
            known = any(True for state in states for _ in state.below(name, all_types=True))
            self.found.pruned.append(Found(printable(path), "not selected" if known else NO_TEMPLATE))
            return
        if link is not None:
            here = os.stat(f"{self.root}/{directory}")
            above = above | {(here.st_dev, here.st_ino)}
            if link in above:
                self.found.unusable.append(Found(printable(path), "a link that goes round in a circle"))
                return
            above = above | {link}
        more.append((path + "/", following, above))

    def _files(self, directory: str, states: Sequence[State], names: list[str]) -> None:
        for state in states:
            node = state.node
            if node.exact and names:
                names = self._exact(directory, node.exact, names)
            if node.files is not None and names:
                names = self._match(directory, state, names)
        for name in names:
            kind = self.found.ignored if self.ignored.match(name) else self.found.unrecognised
            why = NOT_A_DATASET if kind is self.found.ignored else "no template fits"
            kind.append(Found(printable(directory + name), why))

    def _exact(self, directory: str, exact: Mapping[str, Template], names: list[str]) -> list[str]:
        rest = []
        for name in names:
            template = exact.get(name)
            if template is None:
                rest.append(name)
            else:
                self._hits(template).extend(directory, (directory + name,), [name], [()])
        return rest

    def _match(self, directory: str, state: State, names: list[str]) -> list[str]:
        """Match names against all templates that may stand here; the rest is given back."""
        node = state.node
        assert node.files is not None
        match, prefix, alternatives = node.files.fullmatch, state.prefix, node.alternatives
        gathered: dict[int, tuple[list[str], list[tuple[str, ...]]]] = {}
        rest: list[str] = []
        known = len(node.used)
        mixed: set[int] = set()
        at, count = 0, len(names)
        while at < count:
            name = names[at]
            found = match(prefix + name)
            at += 1
            if found is None:
                rest.append(name)
                continue
            which = found.lastindex
            assert which is not None
            one = alternatives[which]
            some, values = gathered.setdefault(which, ([], []))
            some.append(name)
            groups = found.groups()
            values.append((*groups[:known], *groups[one.first : one.last]))
            if one.many is not None and which not in mixed and at < count and names[at].startswith(one.head):
                end = bisect_left(names, one.head + _LAST, at)  # names are sorted
                more = _match_lines(one.many, prefix, names[at:end])
                if more is None:
                    mixed.add(which)  # names of several types: one by one
                else:
                    some += names[at:end]
                    values += more
                    at = end
        for which, (some, values) in gathered.items():
            own = [value[known:] for value in values] if known else values
            self._keep(directory, alternatives[which].template, state.values, some, own)
        return rest

    def _keep(
        self,
        directory: str,
        template: Template,
        known: tuple[str, ...],
        names: list[str],
        values: list[tuple[str, ...]],
    ) -> None:
        try:
            (directory + "".join(names)).encode()
        except UnicodeEncodeError:
            self._keep_valid(directory, template, known, zip(names, values, strict=True))
            return
        self._hits(template).extend(directory, known, names, values)

    def _keep_valid(
        self,
        directory: str,
        template: Template,
        known: tuple[str, ...],
        pairs: Iterable[tuple[str, tuple[str, ...]]],
    ) -> None:
        for name, values in pairs:
            path = directory + name
            if printable(path) == path:
                self._hits(template).extend(directory, known, [name], [values])
            else:
                self.found.unusable.append(Found(printable(path), "its name is not in UTF-8"))

    def _hits(self, template: Template) -> Hits:
        hits = self.found.hits.get(template.dataset_type)
        if hits is None:
            hits = self.found.hits[template.dataset_type] = Hits(template)
        return hits
