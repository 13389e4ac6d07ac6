# SPDX-License-Identifier: BSD-3-Clause
"""Remove datasets, their files, and whole runs: one commit first, the files afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lakebutler.butler.base import ButlerBase
from lakebutler.butler.pending import Batch
from lakebutler.collections.collection import CollectionType
from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.errors import ArgumentError, CollectionTypeError
from lakebutler.lake.change import Change
from lakebutler.lake.snapshot import Snapshot
from lakebutler.registry import associate, collections
from lakebutler.registry.removal import remove_datasets, remove_runs, unstore_datasets

__all__ = ["PruningButler"]


class PruningButler(ButlerBase):
    """The destroying verbs of `Butler`."""

    def pruneDatasets(
        self,
        refs: Iterable[DatasetRef],
        *,
        disassociate: bool = True,
        unstore: bool = False,
        tags: Iterable[str] = (),
        purge: bool = False,
    ) -> None:
        """Take datasets out of tags, remove their files, or remove them altogether.

        Parameters
        ----------
        refs : iterable of `DatasetRef`
            The datasets; those that are not there are passed over.
        disassociate : `bool`, optional
            Whether to take them out of ``tags``.
        unstore : `bool`, optional
            Whether to remove their files; the datasets stay registered.
        tags : iterable of `str`, optional
            TAGGED collections to take them out of.
        purge : `bool`, optional
            Whether to remove them altogether, from every collection too; needs
            ``disassociate`` and ``unstore``.

        Raises
        ------
        ArgumentError
            Raised if the arguments do not go together; it is a `TypeError`.
        CollectionTypeError
            Raised if one of ``tags`` is not TAGGED.
        MissingCollectionError
            Raised if one of ``tags`` does not exist.

        Notes
        -----
        It is one commit, whatever the number of datasets.  Files go when it has
        landed; a file stays as long as another dataset, or a version with a tag,
        refers to it, and files outside the repository stay in any case.
        """
        names = [tags] if isinstance(tags, str) else list(tags)
        self._check_pruning(names, disassociate=disassociate, unstore=unstore, purge=purge)
        given = list(refs)
        for ref in given:
            if ref.datasetType.component() is not None:
                raise ArgumentError(
                    f"cannot remove a component ({ref.datasetType.name}) without its composite",
                    hint="pass ref.makeCompositeRef()",
                )
        if not given:
            return

        def build(snapshot: Snapshot, doomed: list[str]) -> Change | None:
            if purge:
                return remove_datasets(snapshot, given, doomed)
            steps: list[Callable[[Snapshot], Change | None]] = []
            if disassociate:
                steps += [_disassociation(name, given) for name in names]
            if unstore:
                steps.append(lambda s: unstore_datasets(s, given, doomed))
            return _chained(snapshot, steps)

        self._destroy(build, op="prune-datasets")

    def _check_pruning(self, tags: Sequence[str], *, disassociate: bool, unstore: bool, purge: bool) -> None:
        self._session.require_writeable("prune datasets")
        if purge:
            for name, value in (("disassociate", disassociate), ("unstore", unstore)):
                if not value:
                    raise ArgumentError(f"purge=True needs {name}=True: nothing of the datasets is to remain")
        elif disassociate:
            if not tags:
                raise ArgumentError(
                    "disassociate=True without tags",
                    hint="pass tags=, or disassociate=False with unstore=True",
                )
            for name in tags:
                kind = collections.collection_type(self._registry.snapshot, name)
                if kind is not CollectionType.TAGGED:
                    raise CollectionTypeError(
                        f"cannot disassociate datasets from collection {name!r}: "
                        f"it is of type {kind.name}, not TAGGED"
                    )

    def removeRuns(
        self, names: str | Iterable[str], unstore: bool = True, *, unlink_from_chains: bool = False
    ) -> None:
        """Remove runs with their datasets, the memberships of these, and their files.

        Parameters
        ----------
        names : `str` or iterable of `str`
            The runs.
        unstore : `bool`, optional
            Whether the files are removed too; otherwise they are left to ``gc``.
        unlink_from_chains : `bool`, optional
            Whether to take the runs out of the chains they are in; otherwise
            being in one is an error.

        Raises
        ------
        CollectionTypeError
            Raised if one is no RUN.
        MissingCollectionError
            Raised if one does not exist.
        OrphanedRecordError
            Raised if one is in a chain.
        """
        runs = [names] if isinstance(names, str) else list(names)

        def build(snapshot: Snapshot, doomed: list[str]) -> Change | None:
            change = remove_runs(snapshot, runs, doomed, unlink_from_chains=unlink_from_chains)
            if not unstore:
                doomed.clear()
            return change

        self._destroy(build, op="remove-runs")

    def _remove_datasets(self, refs: Iterable[DatasetRef]) -> None:
        """Remove datasets altogether, in one commit; their files afterwards."""
        given = [ref.makeCompositeRef() if ref.isComponent() else ref for ref in refs]
        self._destroy(lambda s, doomed: remove_datasets(s, given, doomed), op="remove-datasets")

    def _destroy(self, build: Callable[[Snapshot, list[str]], Change | None], *, op: str) -> None:
        """Commit a removal, or make it part of the transaction; then remove the files."""
        self._session.require_writeable(op)
        nested = self._session.in_transaction
        mark = self._pending.mark()
        batch = Batch([], [], [])

        def again(snapshot: Snapshot) -> Change | None:
            batch.doomed.clear()
            return build(snapshot, batch.doomed)

        self._pending.add(batch)
        try:
            self._session.execute(again, op=op)
        except BaseException:
            self._pending.forget(mark)
            raise
        if not nested:
            self._pending.done(mark)


def _disassociation(name: str, refs: Sequence[DatasetRef]) -> Callable[[Snapshot], Change | None]:
    return lambda snapshot: associate.disassociate(snapshot, name, refs)


def _chained(snapshot: Snapshot, steps: Sequence[Callable[[Snapshot], Change | None]]) -> Change | None:
    """One change of several, each built on what the former leave."""
    whole = Change()
    for step in steps:
        change = step(snapshot)
        if change is None:
            continue
        if len(steps) > 1:
            snapshot = snapshot.apply(change)
        whole.extend(change)
    return whole or None
