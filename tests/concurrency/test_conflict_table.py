# SPDX-License-Identifier: BSD-3-Clause
"""The conflict table, cell by cell: what I do against what another committed meanwhile.

I begin on a version; another writer commits; then I commit.  Whatever the cell, the outcome has to
be the one of doing the two after each other, theirs first: the same error, or the same repository.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakebutler import Butler, ButlerError, DatasetType
from lakebutler.collections.collection import CollectionType
from lakebutler.errors import ConflictingDefinitionError
from lakebutler.lake.change import Change
from lakebutler.lake.compact import Compaction
from lakebutler.lake.protocol import conflict
from lakebutler.lake.restore import restoring
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.writer import FileWriter
from tests.fault.world import RUN, base, content, copy, look, refs_of, where

OTHER = "u/me/other"
Act = Callable[[Butler], Callable[[], object]]
"""Looks up what it needs, and returns what it then does."""


# --------------------------------------------------------------------- what one may do


def put(number: int, run: str = RUN) -> Act:
    return lambda butler: lambda: butler.put(content(number), "kind", where(number), run=run)


def associate(butler: Butler) -> Callable[[], object]:
    refs = refs_of(butler, 1)
    return lambda: butler.registry.associate("tagged", refs)


def delete_keys(butler: Butler) -> Callable[[], object]:
    refs = refs_of(butler, 1)
    return lambda: butler.pruneDatasets(refs, unstore=True, purge=True)


def set_chain(*children: str) -> Act:
    return lambda butler: lambda: butler.registry.setCollectionChain("chain", children)


def new_table(butler: Butler) -> Callable[[], object]:
    kind = DatasetType("wide", ["instrument"], "StructuredDataDict", universe=butler.dimensions)
    return lambda: butler.registry.registerDatasetType(kind)


def prune_run(butler: Butler) -> Callable[[], object]:
    return lambda: butler.removeRuns([RUN])


def compact(butler: Butler) -> Callable[[], object]:
    return butler.repository.lake.compact


def tag(version: int) -> Act:
    return lambda butler: lambda: butler.tag("dr1", version)


def restore(butler: Butler) -> Callable[[], object]:
    return lambda: butler.restore(2)


MINE: dict[str, Act] = {
    "insert, another run": put(7, OTHER),
    "insert, the same run": put(7),
    "associate": associate,
    "delete keys": delete_keys,
    "prune run": prune_run,
    "compact": compact,
    "set": set_chain(RUN),
    "tag": tag(2),
    "restore": restore,
    "change of schema": new_table,
}
THEIRS: dict[str, Act] = {
    "insert of the same data ID": put(7),
    "insert in the same scope": put(8),
    "delete keys": delete_keys,
    "prune run": prune_run,
    "compact": compact,
    "set of the same name": set_chain(OTHER),
    "tag of the same name": tag(3),
    "change of schema": new_table,
}

# What comes of it: "ok" as if they had not been there, "again" after looking at the new state, or an error.
# (Removals by id do not say from which scopes, so that every insert looks again.)
TABLE: dict[str, str] = {
    "insert, another run": "ok    ok    again again ok    ok    ok    ok",
    "insert, the same run": "error again again error ok    ok    ok    ok",
    "associate": "again again error error ok    ok    ok    ok",
    "delete keys": "again again again again ok    ok    ok    ok",
    "prune run": "again again again error again again again again",
    "compact": "ok    ok    ok    ok    again ok    ok    ok",
    "set": "ok    ok    ok    error ok    again ok    ok",
    "tag": "ok    ok    ok    ok    ok    ok    error ok",
    "restore": "again again again again again again again again",
    "change of schema": "ok    ok    ok    ok    ok    ok    ok    again",
}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("start") / "repo"
    base(place)
    with Butler(str(place), writeable=True) as butler:
        butler.registry.registerRun(OTHER)
        butler.registry.registerCollection("chain", CollectionType.CHAINED)
        for number in range(20, 24):
            butler.put(content(number), "kind", where(number), run=OTHER)
    return place


class Raced:
    """Lets another commit come in between, once, when a commit of ours has been built."""

    def __init__(self, butler: Butler, theirs: Callable[[], object], patch: pytest.MonkeyPatch) -> None:
        lake = butler.repository.lake
        self.builds = 0
        self.theirs: Callable[[], object] | None = theirs
        real = lake.commit

        def commit(build: Callable[[Snapshot], Change | None], **more: Any) -> Snapshot:
            def counted(snapshot: Snapshot) -> Change | None:
                self.builds += 1
                return build(snapshot)

            if self.theirs is None:
                return real(build, **more)
            first = lake.snapshot()
            change = more.pop("change", None)
            given = more.pop("base", None)
            if change is None:
                given, change = first, counted(first)
            else:
                self.builds += 1
            theirs, self.theirs = self.theirs, None
            theirs()
            if change is None:
                return real(counted, **more)
            return real(counted, base=given, change=change, **more)

        patch.setattr(lake, "commit", commit)
        if hasattr(lake, "_compact"):
            patch.setattr(lake, "_compact", lambda table, *, everything: self._compact(lake, table, commit))

    @staticmethod
    def _compact(lake: Any, table: str, commit: Callable[..., Snapshot]) -> bool:
        work = Compaction(table, FileWriter(lake.storage))
        commit(work.build, op="compact")
        return True


def outcome(act: Callable[[], object], place: Path) -> object:
    """The error it ends with, or None; and what is there then."""
    try:
        act()
    except ButlerError as error:
        return type(error), look(place)
    return None, look(place)


def after_each_other(start: Path, folder: Path, mine: Act, theirs: Act) -> object:
    place, _ = copy(start, folder)
    with (
        Butler(str(place), run=RUN, writeable=True) as butler,
        Butler(str(place), run=RUN, writeable=True) as other,
    ):
        mine_now, theirs_now = mine(butler), theirs(other)
        theirs_now()
        return outcome(mine_now, place)


@pytest.mark.parametrize("theirs", THEIRS)
@pytest.mark.parametrize("mine", MINE)
def test_cell(mine: str, theirs: str, start: Path, tmp_path: Path) -> None:
    verdict = TABLE[mine].split()[list(THEIRS).index(theirs)]
    expected = after_each_other(start, tmp_path / "serial", MINE[mine], THEIRS[theirs])
    place, _ = copy(start, tmp_path / "raced")
    with (
        Butler(str(place), run=RUN, writeable=True) as butler,
        Butler(str(place), run=RUN, writeable=True) as other,
        pytest.MonkeyPatch.context() as patch,
    ):
        mine_now, theirs_now = MINE[mine](butler), THEIRS[theirs](other)
        raced = Raced(butler, theirs_now, patch)
        found = outcome(mine_now, place)
    assert raced.theirs is None, "nobody came in between"
    assert found == expected
    assert (found[0] is not None) == (verdict == "error"), found[0]  # type: ignore[index]
    if verdict != "error":
        assert (raced.builds > 1) == (verdict == "again"), f"built {raced.builds} times"


def test_every_cell_has_a_verdict() -> None:
    assert list(TABLE) == list(MINE)
    assert {len(row.split()) for row in TABLE.values()} == {len(THEIRS)}


PLANTS = ("conflicts are not looked for", "what was looked at does not count", "all is taken for independent")


@pytest.mark.parametrize("plant", PLANTS)
def test_the_table_notices_a_planted_bug(
    plant: str, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakebutler.lake import commit as commit_module

    if plant == "conflicts are not looked for":
        monkeypatch.setattr(commit_module.Attempt, "_conflict", lambda self, version: None)
    elif plant == "what was looked at does not count":
        monkeypatch.setattr(Change, "touch", lambda self, table, scope: None)
    else:
        monkeypatch.setattr(commit_module, "conflict", lambda mine, theirs: None)
    with pytest.raises((AssertionError, ConflictingDefinitionError)):
        test_cell("insert, the same run", "insert of the same data ID", start, tmp_path)


def test_restoring_is_built_on_the_newest_version(start: Path, tmp_path: Path) -> None:
    """It conflicts with everything, whatever the footprints say."""
    place, _ = copy(start, tmp_path)
    with Butler(str(place), writeable=True) as butler:
        lake = butler.repository.lake
        change = restoring(lake.snapshot(), lake.as_of(2))
    assert change is not None
    assert change.exclusive
    assert conflict is not None
