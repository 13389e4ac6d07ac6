# SPDX-License-Identifier: BSD-3-Clause
"""Files of datasets, carried out of a repository."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakebutler.errors import FileFormatError, RepositoryExistsError
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
    """
    from lsst.resources import ResourcePath

    base = ResourcePath(destination, forceDirectory=True)
    root = ResourcePath(butler.root, forceDirectory=True)
    targets: dict[str, tuple[ResourcePath, ResourcePath]] = {}
    for ref in refs:
        source = butler.getURI(ref)
        inside = source.relative_to(root) if preserve_path else None
        target = base.join(inside or source.basename(), forceDirectory=False)
        known = targets.setdefault(str(target), (source, target))
        if known[0] != source:
            raise FileFormatError(
                f"{known[0]} and {source} would both be {target}", hint="use --preserve-path"
            )
    if not overwrite:
        for _, target in targets.values():
            if target.exists():
                raise RepositoryExistsError(
                    f"{target.ospath if target.isLocal else target} exists", hint="--clobber"
                )
    progress.start("retrieving", len(targets))
    for source, target in targets.values():
        target.parent().mkdir()
        target.transfer_from(source, transfer="copy" if transfer == "auto" else transfer, overwrite=overwrite)
        progress.advance()
    progress.finish()
    return [target.ospath if target.isLocal else str(target) for _, target in targets.values()]
