# SPDX-License-Identifier: BSD-3-Clause
"""What a user names becomes a list of files."""

from __future__ import annotations

import glob
from pathlib import Path

import fsspec
import pytest

from lakebutler.errors import ButlerUserError, StorageError
from lakebutler.instruments.raws.file_search import find_files


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "b/2.fits",
        "b/1.fits.gz",
        "a/x.fit",
        "a/x.fits.fz",
        "a/notes.txt",
        "a/x.fits.part",
        "a/fitsy.dat",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def names(tree: Path, *found: str) -> list[str]:
    return [str(tree / name) for name in found]


def test_a_directory_gives_its_fits_files_in_order(tree: Path) -> None:
    assert find_files([tree]) == names(tree, "a/x.fit", "a/x.fits.fz", "b/1.fits.gz", "b/2.fits")


def test_a_pattern_chooses_among_names(tree: Path) -> None:
    assert find_files([tree], r"\.txt$") == names(tree, "a/notes.txt")


def test_a_file_named_as_such_is_taken_whatever_it_is_called(tree: Path) -> None:
    assert find_files([tree / "a/notes.txt", tree / "gone.fits"]) == names(tree, "a/notes.txt", "gone.fits")


def test_a_glob_is_expanded_and_nothing_comes_twice(tree: Path) -> None:
    found = find_files([f"{tree}/a/*.fit*", f"{tree}/**/*.fit", tree / "a"])
    assert found == names(tree, "a/x.fit", "a/x.fits.fz", "a/x.fits.part")


def test_a_glob_of_any_depth_walks_a_loop_once(tree: Path) -> None:
    for name in ("x", "y"):  # two of them: the names double with each step
        (tree / "a" / name).symlink_to("..")
    notes: list[str] = []
    assert find_files([f"{tree}/**/*.fit"], notes=notes) == names(tree, "a/x.fit")
    assert notes == [f"{tree}/a/{name} is {tree} once more: passed over" for name in ("x", "y")]


@pytest.mark.parametrize("pattern", ["**/1.fits.gz", "**/b/*.gz", "b/**", "**/b/**/1*", "**"])
def test_a_glob_of_any_depth_finds_what_the_standard_one_does(tree: Path, pattern: str) -> None:
    expected = {path for path in glob.glob(f"{tree}/{pattern}", recursive=True) if Path(path).is_file()}
    found = set(find_files([f"{tree}/{pattern}"]))
    assert found == expected
    assert f"{tree}/b/1.fits.gz" in found


def test_a_name_with_brackets_that_exists_is_no_glob(tmp_path: Path) -> None:
    odd = tmp_path / "raw[1].fits"
    odd.touch()
    assert find_files([odd]) == [str(odd)]


def test_a_relative_path_becomes_absolute(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    assert find_files(["b", "file://" + str(tree / "a/x.fit")]) == names(
        tree, "b/1.fits.gz", "b/2.fits", "a/x.fit"
    )


def test_remote_places_are_searched_alike() -> None:
    memory = fsspec.filesystem("memory")
    for name in ("/night/b.fits", "/night/deep/a.fits.gz", "/night/log.txt"):
        memory.pipe(name, b"")
    try:
        assert find_files(["memory://night"]) == ["memory:///night/b.fits", "memory:///night/deep/a.fits.gz"]
        assert find_files(["memory://night/*.fits"]) == ["memory:///night/b.fits"]
        assert find_files(["memory://night/gone.fits"]) == ["memory:///night/gone.fits"]
    finally:
        memory.rm("/night", recursive=True)


def test_a_place_that_cannot_be_listed_is_one_line() -> None:
    with pytest.raises(StorageError, match=r"^cannot list nonsense://x/: "):
        find_files(["nonsense://x/"])


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(ButlerUserError, match="no regular expression"):
        find_files(["."], "(")
