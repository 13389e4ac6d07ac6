# SPDX-License-Identifier: BSD-3-Clause
"""What became of every file of an old repository, and what was changed on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CONVERTED", "IGNORED", "PRUNED", "SKIPPED", "STATUSES", "UNRECOGNISED", "Report", "TypeCount"]

CONVERTED = "converted"
SKIPPED = "skipped"
IGNORED = "ignored"
UNRECOGNISED = "unrecognised"
PRUNED = "not opened"
STATUSES = (CONVERTED, SKIPPED, IGNORED, UNRECOGNISED, PRUNED)
"""What can become of a file; ``not opened`` is said of directories."""

_COLUMNS = ("repository", "path", "status", "dataset_type", "reason")


class TypeCount(NamedTuple):
    """Files and datasets of one type in one repository."""

    repository: str
    dataset_type: str
    files: int
    datasets: int
    certified: int
    skipped: int


@dataclass
class Report:
    """What became of everything.

    Attributes
    ----------
    source : `str`
        The old repository.
    camera : `str`
        Name of its camera.
    counts : `list` [`TypeCount`]
        By repository and type.
    changes : `list` [`dict`]
        Validity ranges that are not what the registry says.
    differences : `list` [`dict`]
        What registry and headers say differently.
    notes : `list` [`str`]
        What else a person should know.
    opened : `int`
        Directories that were opened.
    """

    source: str
    camera: str = ""
    counts: list[TypeCount] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    differences: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    opened: int = 0
    _tables: list[pa.Table] = field(default_factory=list)

    def add(
        self,
        repository: str,
        paths: Sequence[str] | pa.Array,
        status: str,
        dataset_type: str | None,
        reason: Any,
    ) -> None:
        """Tell what became of some files.

        Parameters
        ----------
        repository : `str`
            Where they stand.
        paths : sequence of `str` or `pyarrow.Array`
            Relative to it.
        status : `str`
            One of `STATUSES`.
        dataset_type : `str` or `None`
            Their type, where it is known.
        reason : `str`, sequence of `str`, or `None`
            Why, for all or for each.
        """
        import pyarrow as pa

        n = len(paths)
        if not n:
            return
        text = pa.string()
        given = isinstance(reason, str) or reason is None
        columns = [
            pa.repeat(pa.scalar(repository, text), n),
            paths if isinstance(paths, pa.Array | pa.ChunkedArray) else pa.array(paths, text),
            pa.repeat(pa.scalar(status, text), n),
            pa.repeat(pa.scalar(dataset_type, text), n),
            pa.repeat(pa.scalar(reason, text), n) if given else pa.array(reason, text),
        ]
        self._tables.append(pa.table(columns, names=list(_COLUMNS)))

    def files(self) -> pa.Table:
        """Give what became of every file.

        Returns
        -------
        table : `pyarrow.Table`
            Columns ``repository``, ``path``, ``status``, ``dataset_type``, ``reason``.
        """
        import pyarrow as pa

        if not self._tables:
            return pa.table({name: pa.array([], pa.string()) for name in _COLUMNS})
        return pa.concat_tables(self._tables)

    def totals(self) -> dict[str, int]:
        """Count files by what became of them.

        Returns
        -------
        totals : `dict` [`str`, `int`]
            All of `STATUSES`; directories that were not opened count as one each.
        """
        found = Counter(dict.fromkeys(STATUSES, 0))
        for table in self._tables:
            found[table.column("status")[0].as_py()] += table.num_rows
        return dict(found)

    def reasons(self) -> list[tuple[str, str, int, str]]:
        """Count files that were not converted by status and reason.

        Returns
        -------
        reasons : `list` [`tuple`]
            Status, reason, number, and one path; the most frequent first.
        """
        counts: Counter[tuple[str, str]] = Counter()
        sample: dict[tuple[str, str], str] = {}
        for table in self._tables:
            status = table.column("status")[0].as_py()
            if status == CONVERTED:
                continue
            for reason, path in zip(
                table.column("reason").to_pylist(), table.column("path").to_pylist(), strict=True
            ):
                key = (status, reason or "")
                counts[key] += 1
                sample.setdefault(key, path)
        return [(*key, number, sample[key]) for key, number in counts.most_common()]

    def to_json(self) -> dict[str, Any]:
        """Give all but the files that were converted as plain values.

        Returns
        -------
        report : `dict`
            Fit for JSON.
        """
        return {
            "source": self.source,
            "camera": self.camera,
            "totals": self.totals(),
            "directories_opened": self.opened,
            "types": [count._asdict() for count in self.counts],
            "reasons": [
                {"status": status, "reason": reason, "files": number, "example": path}
                for status, reason, number, path in self.reasons()
            ],
            "validity_changes": self.changes,
            "differences": self.differences,
            "notes": self.notes,
            "not_converted": list(self.not_converted()),
        }

    def not_converted(self) -> Iterator[Mapping[str, Any]]:
        """List the files that were not converted.

        Yields
        ------
        row : `dict`
            Columns of `files`.
        """
        for table in self._tables:
            if table.column("status")[0].as_py() != CONVERTED:
                yield from table.to_pylist()

    def note(self, notes: Iterable[str]) -> None:
        """Add notes, each once."""
        self.notes += [note for note in dict.fromkeys(notes) if note not in self.notes]
