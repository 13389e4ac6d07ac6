# SPDX-License-Identifier: BSD-3-Clause
"""Files of datasets, carried out of a repository: verified, whole, and never over others.

The names come from the repository, which may be a stranger's: what could lead out
of the destination, or hide, is written in another way.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.datastore.datastore import Datastore
from lakebutler.datastore.paths import ARTIFACTS, check_stored_path, stored_path_problem
from lakebutler.datastore.records import FileRecord
from lakebutler.datastore.template import escape
from lakebutler.errors import RepositoryExistsError, StorageError, known_names

if TYPE_CHECKING:
    from lsst.resources import ResourcePath

__all__ = ["MODES", "retrieve_artifacts"]

MODES = ("auto", "copy", "hardlink", "link", "relsymlink", "symlink")
"""How files can travel; ``auto`` copies, ``link`` is a hard link or else a symbolic one."""


def retrieve_artifacts(
    datastore: Datastore,
    found: Iterable[tuple[DatasetRef, FileRecord]],
    destination: str | os.PathLike[str] | ResourcePath,
    *,
    transfer: str = "auto",
    preserve_path: bool = True,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[ResourcePath]:
    """Bring the files of datasets to a directory.

    Parameters
    ----------
    datastore : `Datastore`
        Where the files are.
    found : iterable of `tuple` [`DatasetRef`, `FileRecord`]
        The datasets, each with its file, or files; a file with several datasets comes once.
    destination : `str` or path-like or `lsst.resources.ResourcePath`
        A directory, made if need be, or the URL of a prefix.
    transfer : `str`, optional
        How; see `MODES`.
    preserve_path : `bool`, optional
        Whether the directories that the files are in come too.
    overwrite : `bool`, optional
        Whether files that are there may be replaced.
    progress : callable, optional
        Told how many files are done, and of how many.

    Returns
    -------
    files : `list` [`lsst.resources.ResourcePath`]
        Where the files are now.

    Raises
    ------
    RepositoryExistsError
        Raised, before anything is copied, if a file is there already.
    StorageError
        Raised if a file cannot be brought there; what this call made is removed.
    """
    from lsst.resources import ResourcePath

    if transfer not in MODES:
        gone = ": the repository would be left without its files" if transfer in {"move", "direct"} else ""
        raise StorageError(
            f"files cannot be retrieved with transfer={transfer!r}{gone}",
            hint=known_names(str(transfer), MODES, what="modes"),
        )
    base = _Target(destination, overwrite=overwrite)
    plan = _names(list(found), preserve_path=preserve_path)
    if not overwrite:
        for name in plan:
            if base.exists(name):
                raise RepositoryExistsError(
                    f"{base.place(name)} is there already",
                    hint="pass overwrite=True, or choose another place",
                )
    made: list[str] = []
    try:
        for number, (name, (ref, record)) in enumerate(plan.items()):
            source = datastore.get(ref, record, storage_class="Path")
            temporary = record.path is not None and datastore.local_path(record) is None
            base.bring(str(source), name, "copy" if temporary else transfer)
            made.append(name)
            if temporary:
                source.unlink(missing_ok=True)
            if progress is not None:
                progress(number + 1, len(plan))
    except BaseException:
        if not overwrite:
            base.remove(made)
        raise
    return [ResourcePath(base.place(name), forceDirectory=False) for name in made]


def _names(
    found: list[tuple[DatasetRef, FileRecord]], *, preserve_path: bool
) -> dict[str, tuple[DatasetRef, FileRecord]]:
    """Choose a name for each file: safe, and different even where disks fold case."""
    files: dict[tuple[str | None, str | None], tuple[DatasetRef, FileRecord]] = {}
    for ref, record in found:
        for file in record.files:
            files.setdefault((file.path, file.uri), (ref, file))
    plan: dict[str, tuple[DatasetRef, FileRecord]] = {}
    taken: set[str] = set()
    for ref, record in files.values():
        name = _name(record, preserve_path=preserve_path)
        if name.casefold() in taken:
            stem, dot, ending = name.rpartition("/")[2].partition(".")
            name = f"{name[: len(name) - len(stem + dot + ending)]}{stem}-{ref.id.hex}{dot}{ending}"
        taken.add(name.casefold())
        plan[name] = (ref, record)
    return plan


def _name(record: FileRecord, *, preserve_path: bool) -> str:
    if record.path is not None:
        path = check_stored_path(record.path).removeprefix(ARTIFACTS + "/")
        return path if preserve_path else path.rpartition("/")[2]
    from urllib.parse import unquote

    name = unquote((record.uri or "").partition("?")[0].rpartition("/")[2])
    return escape(name) if stored_path_problem(name) is not None or "/" in name else name


class _Target:
    """The place that files are brought to."""

    def __init__(self, destination: str | os.PathLike[str] | ResourcePath, *, overwrite: bool) -> None:
        from lakebutler.config import normalise_root

        self.root = normalise_root(destination)
        self.overwrite = overwrite
        self._fs: object | None = None
        if "://" in self.root:
            import fsspec

            self._fs, self._prefix = fsspec.core.url_to_fs(self.root)

    def place(self, name: str) -> str:
        return f"{self.root}/{name}"

    def exists(self, name: str) -> bool:
        if self._fs is not None:
            return bool(self._fs.exists(f"{self._prefix}/{name}"))  # type: ignore[attr-defined]
        return os.path.lexists(self.place(name))

    def bring(self, source: str, name: str, mode: str) -> None:
        """Make one file; whole or not at all."""
        if self._fs is not None:
            if mode not in {"auto", "copy"}:
                raise StorageError(f"transfer={mode!r} needs a local destination, not {self.root}")
            self._fs.put_file(source, f"{self._prefix}/{name}")  # type: ignore[attr-defined]
            return
        place = self.place(name)
        try:
            self._bring(source, place, mode)
        except FileExistsError:
            raise RepositoryExistsError(f"{place} is there already", hint="pass overwrite=True") from None
        except OSError as exc:
            raise StorageError(f"cannot bring a file to {place}: {exc.strerror or exc}") from exc

    def _bring(self, source: str, place: str, mode: str) -> None:
        directory = os.path.dirname(place)
        os.makedirs(directory, exist_ok=True)
        temporary = f"{directory}/.{uuid.uuid4().hex}.part"
        try:
            _MAKERS[mode](source, temporary)
            if self.overwrite:
                os.replace(temporary, place)
            else:
                os.link(temporary, place, follow_symlinks=False)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)

    def remove(self, names: list[str]) -> None:
        for name in names:
            if self._fs is not None:
                self._fs.rm_file(f"{self._prefix}/{name}")  # type: ignore[attr-defined]
            else:
                Path(self.place(name)).unlink(missing_ok=True)


def _relative(source: str, place: str) -> None:
    directory = os.path.realpath(os.path.dirname(place))
    os.symlink(os.path.relpath(os.path.realpath(source), directory), place)


def _link(source: str, place: str) -> None:
    try:
        os.link(os.path.realpath(source), place)
    except OSError:
        os.symlink(os.path.realpath(source), place)


_MAKERS: dict[str, Callable[[str, str], object]] = {
    "auto": shutil.copyfile,
    "copy": shutil.copyfile,
    "hardlink": lambda source, place: os.link(os.path.realpath(source), place),
    "link": _link,
    "relsymlink": _relative,
    "symlink": lambda source, place: os.symlink(os.path.realpath(source), place),
}
