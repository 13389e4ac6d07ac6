# SPDX-License-Identifier: BSD-3-Clause
"""Files of datasets, carried out of a repository."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakebutler.config import is_lake_file, names_lake_file
from lakebutler.errors import FileFormatError, InvalidQueryError, RepositoryExistsError
from lakebutler.progress import Progress

if TYPE_CHECKING:
    from lsst.resources import ResourcePath

    from lakebutler.butler.butler import Butler
    from lakebutler.datasets.dataset_ref import DatasetRef

__all__ = ["retrieve"]


def retrieve(
    butler: Butler,
    refs: Sequence[DatasetRef],
    destination: str,
    *,
    transfer: str,
    preserve_path: bool,
    overwrite: bool,
    progress: Progress,
) -> list[str]:
    """Bring the files of datasets to a directory.

    Parameters
    ----------
    butler : `Butler`
        The repository.
    refs : sequence of `DatasetRef`
        Whose files.
    destination : `str`
        A directory, made if need be, or a URL prefix.
    transfer : `str`
        How; ``auto`` copies.
    preserve_path : `bool`
        Whether to keep the directories of the repository.
    overwrite : `bool`
        Whether files that are there may be replaced.
    progress : `Progress`
        Told of every file.

    Returns
    -------
    paths : `list` [`str`]
        Where the files are now, each once.

    Raises
    ------
    RepositoryExistsError
        Raised, before anything is copied, if a file is there already.
    FileFormatError
        Raised, before anything is copied, if two files would get one name.
    InvalidQueryError
        Raised if the files cannot travel in this mode.
    """
    from lsst.resources import ResourcePath

    if transfer in {"move", "direct"}:
        raise InvalidQueryError(f"--transfer={transfer} would leave the repository without its files")
    if names_lake_file(butler.root) or is_lake_file(butler.root):
        found = butler.retrieveArtifacts(
            refs, destination, transfer=transfer, preserve_path=preserve_path, overwrite=overwrite
        )
        return [_shown(place) for place in found]
    base = ResourcePath(destination, forceDirectory=True)
    root = ResourcePath(butler.root, forceDirectory=True)
    targets: dict[str, tuple[ResourcePath, ResourcePath]] = {}
    found_uris = butler.get_many_uris(refs).values()
    for source in [one for uris in found_uris for one in (uris.primaryURI, *uris.componentURIs.values())]:
        if source is None:  # it is in parts
            continue
        inside = source.relative_to(root) if preserve_path else None
        target = base.join(inside or source.basename(), forceDirectory=False)
        known = targets.setdefault(str(target), (source, target))
        if known[0] != source:
            raise FileFormatError(
                f"{known[0]} and {source} would both be {target}", hint="use --preserve-path"
            )
    if not overwrite:
        for _, target in targets.values():
            if _exists(target):
                raise RepositoryExistsError(f"{_shown(target)} exists", hint="--clobber overwrites files")
    progress.start("retrieving", len(targets))
    for source, target in targets.values():
        if source.isLocal and target.isLocal:
            target.parent().mkdir()
            target.transfer_from(
                source, transfer="copy" if transfer == "auto" else transfer, overwrite=overwrite
            )
        else:
            _copy_remote(source, target, transfer)
        progress.advance()
    progress.finish()
    return [_shown(target) for _, target in targets.values()]


def _shown(place: ResourcePath) -> str:
    return place.ospath if place.isLocal else str(place)


def _exists(place: ResourcePath) -> bool:
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(_shown(place))
    return bool(filesystem.exists(path))


def _copy_remote(source: ResourcePath, target: ResourcePath, transfer: str) -> None:
    """Copy through fsspec, which has the credentials that the repository was opened with."""
    import shutil

    import fsspec

    if transfer not in {"auto", "copy"}:
        raise InvalidQueryError(
            f"--transfer={transfer} needs both ends on this machine", hint="copy does not"
        )
    if target.isLocal:
        target.parent().mkdir()
    with fsspec.open(_shown(source), "rb") as incoming, fsspec.open(_shown(target), "wb") as outgoing:
        shutil.copyfileobj(incoming, outgoing, 1 << 20)
