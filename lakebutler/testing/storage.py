# SPDX-License-Identifier: BSD-3-Clause
"""What every `lakebutler.lake.storage.Storage` must do.

::

    class TestMyStorage(StorageTests):
        @pytest.fixture
        def make_storage(self, tmp_path):
            return lambda: MyStorage(tmp_path)   # each call: another handle to one and the same root
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

import pytest

from lakebutler.errors import RepositoryCorruptError
from lakebutler.lake.change import Change
from lakebutler.lake.lake import Lake
from lakebutler.lake.schema import Column, TableSchema
from lakebutler.lake.snapshot import Snapshot
from lakebutler.lake.storage import Storage

__all__ = ["StorageTests"]

Make = Callable[[], Storage]
_TABLE = TableSchema("t", (Column("a", "string"), Column("b", "int64")), ("a", "b"), ("a",))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class StorageTests:
    """The contract; subclass it and give the fixture ``make_storage``."""

    racers = 8
    turns = 5

    @pytest.fixture
    def make_storage(self) -> Make:
        """Return a function that makes a handle to one and the same, at first empty, root."""
        raise NotImplementedError("give a fixture 'make_storage'")

    @pytest.fixture
    def storage(self, make_storage: Make) -> Storage:
        """Return a handle to the empty root."""
        return make_storage()

    # ------------------------------------------------------------- single files

    def test_what_was_created_is_read_back(self, storage: Storage, make_storage: Make) -> None:
        """Content survives byte for byte, also for another handle."""
        data = bytes(range(256)) * 300
        storage.create("registry/x/one", data)
        assert storage.read("registry/x/one") == data
        assert make_storage().read("registry/x/one") == data

    def test_an_empty_file_is_a_file(self, storage: Storage) -> None:
        """Content of no bytes is content."""
        storage.create("registry/x/empty", b"")
        assert storage.read("registry/x/empty") == b""

    def test_reading_what_is_not_there_is_file_not_found(self, storage: Storage) -> None:
        """Neither a missing file nor a missing folder is another error."""
        storage.create("registry/x/one", b"1")
        for path in ("registry/x/two", "registry/y/one", "nowhere"):
            with pytest.raises(FileNotFoundError):
                storage.read(path)

    def test_reading_many_keeps_their_order(self, storage: Storage) -> None:
        """The contents come in the order they were asked for."""
        for number in range(5):
            storage.create(f"registry/x/{number}", b"%d" % number)
        paths = [f"registry/x/{number}" for number in (3, 0, 4)]
        assert storage.read_many(paths) == [b"3", b"0", b"4"]
        assert storage.read_many([]) == []

    def test_reading_many_with_one_missing_is_file_not_found(self, storage: Storage) -> None:
        """No part of an answer is given for the whole."""
        storage.create("registry/x/0", b"0")
        with pytest.raises(FileNotFoundError):
            storage.read_many(["registry/x/0", "registry/x/1"])

    def test_a_name_is_taken_once(self, storage: Storage, make_storage: Make) -> None:
        """A second create fails and leaves the first content alone."""
        storage.create("registry/x/one", b"first")
        for other in (storage, make_storage()):
            with pytest.raises(FileExistsError):
                other.create("registry/x/one", b"second")
        assert storage.read("registry/x/one") == b"first"

    def test_of_many_racers_exactly_one_creates(self, make_storage: Make) -> None:
        """Every commit rests on it."""
        for turn in range(self.turns):
            path = f"registry/race/{turn}"
            won: list[int] = []
            barrier = threading.Barrier(self.racers)
            threads = [
                threading.Thread(target=_race, args=(make_storage(), path, number, barrier, won))
                for number in range(self.racers)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(won) == 1
            assert make_storage().read(path) == b"%d" % won[0] * 1000

    def test_write_replaces(self, storage: Storage, make_storage: Make) -> None:
        """A hint may be written again and again."""
        storage.write("registry/x/hint", b"old and long")
        storage.write("registry/x/hint", b"new")
        assert make_storage().read("registry/x/hint") == b"new"

    def test_what_was_removed_is_gone(self, storage: Storage) -> None:
        """Removing what is not there is no error, and the name is free again."""
        storage.create("registry/x/one", b"1")
        storage.delete(["registry/x/one", "registry/x/never"])
        storage.delete([])
        with pytest.raises(FileNotFoundError):
            storage.read("registry/x/one")
        storage.create("registry/x/one", b"again")

    @pytest.mark.parametrize(
        "path", ["../x", "a/../../x", "/etc/x", "a//b", "", ".", "a/./b", "a\\b", "a\0b"]
    )
    def test_no_path_leads_outside(self, storage: Storage, path: str) -> None:
        """A path that is not plainly inside the root is refused before anything is done."""
        with pytest.raises(ValueError, match="no path inside"):
            storage.read(path)
        with pytest.raises(ValueError, match="no path inside"):
            storage.create(path, b"x")

    # ------------------------------------------------------------------ listing

    def test_a_listing_is_in_order_and_stays_in_its_folder(self, storage: Storage) -> None:
        """Files of folders below are not listed."""
        for name in "cabd":
            storage.create(f"registry/x/{name}", name.encode() * 3)
        storage.create("registry/x/below/e", b"e")
        storage.create("registry/xx", b"f")
        found = list(storage.list("registry/x/"))
        assert [info.path for info in found] == [f"registry/x/{name}" for name in "abcd"]
        assert [info.size for info in found] == [3, 3, 3, 3]
        assert all(info.mtime > 1e9 for info in found)

    def test_a_listing_can_begin_after_a_name(self, storage: Storage) -> None:
        """The name itself is not listed again, and need not exist."""
        for number in range(0, 10, 2):
            storage.create(f"registry/x/{number:020d}.json", b"x")
        assert [info.path[11:31] for info in storage.list("registry/x/", f"registry/x/{4:020d}.json")] == [
            f"{6:020d}",
            f"{8:020d}",
        ]
        assert len(list(storage.list("registry/x/", f"registry/x/{5:020d}.json"))) == 2

    def test_a_listing_of_nothing_is_empty(self, storage: Storage) -> None:
        """A folder that is not there has no files."""
        assert list(storage.list("registry/none/")) == []

    # ----------------------------------------------------------------- fetching

    def test_a_fetched_file_has_the_content(self, storage: Storage, make_storage: Make) -> None:
        """The name is that of a local file, again and for other handles."""
        self._make_repository(storage)
        data = b"PAR1" * 1000
        storage.create("registry/data/t/x.parquet", data)
        for handle in (storage, storage, make_storage()):
            name = handle.fetch("registry/data/t/x.parquet", len(data), _digest(data))
            with open(name, "rb") as file:
                assert file.read() == data

    def test_a_wrong_file_is_not_handed_out(self, storage: Storage) -> None:
        """Neither size nor content may differ from what was committed."""
        self._make_repository(storage)
        data = b"PAR1" * 1000
        storage.create("registry/data/t/x.parquet", data)
        with pytest.raises(RepositoryCorruptError):
            storage.fetch("registry/data/t/x.parquet", len(data), _digest(b"other"))
        with pytest.raises(RepositoryCorruptError):
            storage.fetch("registry/data/t/x.parquet", len(data) + 1, _digest(data))
        with pytest.raises(FileNotFoundError):
            storage.fetch("registry/data/t/y.parquet", len(data), _digest(data + b"y"))

    # ------------------------------------------------------------------ queueing

    def test_the_queue_lets_everybody_through(self, make_storage: Make) -> None:
        """Whoever waits gets a turn, and an error inside lets go."""
        done: list[int] = []

        def enter(handle: Storage, number: int) -> None:
            with handle.lock():
                done.append(number)

        with pytest.raises(RuntimeError), make_storage().lock():
            raise RuntimeError
        threads = [threading.Thread(target=enter, args=(make_storage(), n)) for n in range(self.racers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(done) == list(range(self.racers))

    # ---------------------------------------------------------------- together

    def test_a_lake_works_on_it(self, storage: Storage, make_storage: Make) -> None:
        """Commits of two handles meet in one history."""
        first = self._make_repository(storage)
        second = Lake.open(make_storage())
        for number, lake in enumerate((first, second, first, second)):
            lake.commit(_adding("x", number), op="put")
        assert Lake.open(make_storage()).snapshot().version == 4
        for lake in (first, second):
            rows = lake.snapshot().find("t", ("a",), ("x",))
            assert sorted(rows) == [("x", number) for number in range(4)]

    def test_lakes_in_threads_lose_nothing(self, storage: Storage, make_storage: Make) -> None:
        """Every commit that was reported is there, once."""
        self._make_repository(storage)
        each = self.turns

        def work(number: int) -> None:
            lake = Lake.open(make_storage())
            for step in range(each):
                lake.commit(_adding(f"w{number}", step), op="put")

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        snapshot = Lake.open(make_storage()).snapshot()
        assert snapshot.version == 4 * each
        assert dict(snapshot.scopes("t")) == {(f"w{number}",): each for number in range(4)}

    def _make_repository(self, storage: Storage) -> Lake:
        change = Change()
        change.create_table(_TABLE)
        return Lake.create(storage, config={}, change=change)


def _race(storage: Storage, path: str, number: int, barrier: threading.Barrier, won: list[int]) -> None:
    barrier.wait()
    try:
        storage.create(path, b"%d" % number * 1000)
    except FileExistsError:
        return
    won.append(number)


def _adding(a: str, b: int) -> Callable[[Snapshot], Change]:
    def build(snapshot: Snapshot) -> Change:
        assert (a, b) not in snapshot.find("t", ("a", "b"), (a, b))
        change = Change()
        change.append_rows("t", [(a, b)])
        change.touch("t", (a,))
        return change

    return build
