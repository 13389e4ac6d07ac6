# SPDX-License-Identifier: BSD-3-Clause
"""Provenance of a dataset: what it was made of, as a value that fits a header."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Final
from uuid import UUID

from lakebutler.datasets.dataset_ref import DatasetRef
from lakebutler.errors import DataIdValueError, DatasetNotFoundError

__all__ = ["DatasetProvenance", "ProvenanceValue"]

ProvenanceValue = str | int | float | bool | UUID
"""What a further fact about an input can be."""

_OWN: Final = ("id", "run", "datasettype", "quantum", "n_inputs")
_RESERVED: Final = frozenset({"id", "run", "datasettype"})


class DatasetProvenance:
    """What a dataset was made of.

    Parameters
    ----------
    inputs : iterable of `DatasetRef`, optional
        Datasets that were read.
    quantum_id : `uuid.UUID`, optional
        The quantum that made it.
    extras : mapping, optional
        Further facts about inputs: values by key, by id of the input.
    """

    __slots__ = ("_extras", "_inputs", "quantum_id")

    quantum_id: UUID | None
    """The quantum that made the dataset."""

    def __init__(
        self,
        inputs: Iterable[DatasetRef] = (),
        quantum_id: UUID | None = None,
        extras: Mapping[UUID, Mapping[str, ProvenanceValue]] | None = None,
    ) -> None:
        self._inputs: dict[UUID, DatasetRef] = {}
        self._extras: dict[UUID, dict[str, ProvenanceValue]] = {}
        self.quantum_id = quantum_id
        for ref in inputs:
            self.add_input(ref)
        for dataset_id, facts in (extras or {}).items():
            self.add_extra_provenance(dataset_id, facts)

    @property
    def inputs(self) -> list[DatasetRef]:
        """Datasets that were read, each once, in the order they were added."""
        return list(self._inputs.values())

    @property
    def extras(self) -> dict[UUID, dict[str, ProvenanceValue]]:
        """Further facts about inputs, by id of the input."""
        return {dataset_id: dict(facts) for dataset_id, facts in self._extras.items()}

    def add_input(self, ref: DatasetRef) -> None:
        """Add a dataset that was read.

        Parameters
        ----------
        ref : `DatasetRef`
            The dataset; nothing happens if it is there already.
        """
        self._inputs.setdefault(ref.id, ref)

    def add_extra_provenance(self, dataset_id: UUID, extra: Mapping[str, ProvenanceValue]) -> None:
        """Add facts about an input.

        Parameters
        ----------
        dataset_id : `uuid.UUID`
            Id of an input that was added before.
        extra : mapping
            Values by key.

        Raises
        ------
        DatasetNotFoundError
            If there is no such input.
        DataIdValueError
            If a key is taken, or the value is of a type that no header holds.
        """
        if dataset_id not in self._inputs:
            raise DatasetNotFoundError(f"dataset {dataset_id} is not among the inputs")
        for key, value in extra.items():
            if not key or key.casefold() in _RESERVED:
                raise DataIdValueError(f"{key!r} cannot be the key of a fact about an input")
            if not isinstance(value, str | int | float | bool | UUID):
                raise DataIdValueError(f"{key!r} must be a string, number or id, not {type(value).__name__}")
        self._extras.setdefault(dataset_id, {}).update(extra)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DatasetProvenance):
            return NotImplemented
        return (
            self.inputs == other.inputs
            and self.quantum_id == other.quantum_id
            and self._extras == other._extras
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"DatasetProvenance({self.inputs!r}, {self.quantum_id!r}, {self._extras!r})"

    # ------------------------------------------------------------------ flat form

    def to_flat_dict(
        self,
        ref: DatasetRef | None,
        /,
        *,
        prefix: str = "",
        sep: str = ".",
        simple_types: bool = False,
        use_upper: bool | None = None,
        max_inputs: int | None = None,
        store_minimalist_inputs: bool = False,
    ) -> dict[str, ProvenanceValue]:
        """Convert to a flat dictionary, as headers need it.

        Parameters
        ----------
        ref : `DatasetRef` or `None`
            The dataset itself, if it is to be described too.
        prefix : `str`, optional
            What all keys begin with.
        sep : `str`, optional
            What stands between the parts of a key: one character, neither a
            letter, a digit nor ``_``.
        simple_types : `bool`, optional
            If `True`, ids are given as strings.
        use_upper : `bool`, optional
            Whether keys are in upper case; by default, if the prefix begins so.
        max_inputs : `int`, optional
            With more inputs than this, only their number is given.
        store_minimalist_inputs : `bool`, optional
            If `True`, only the ids of inputs are given.

        Returns
        -------
        flat : `dict`
            ``id``, ``run``, ``datasettype``, ``dataid.*`` of the dataset;
            ``quantum``, ``n_inputs``, and ``input.N.{id,run,datasettype,...}``.
        """
        if len(sep) != 1 or sep.isalnum() or sep == "_":
            raise ValueError(f"the separator must be one character, no letter, digit or '_', not {sep!r}")
        if use_upper is None:
            use_upper = prefix[:1].isupper()
        flat: dict[str, ProvenanceValue] = {}

        def put(value: ProvenanceValue, *parts: str) -> None:
            key = sep.join(parts)
            key = key.upper() if use_upper else key
            flat[prefix + sep + key if prefix else key] = (
                str(value) if simple_types and isinstance(value, UUID) else value
            )

        if ref is not None:
            put(ref.id, "id")
            put(ref.run, "run")
            put(ref.datasetType.name, "datasettype")
            for name, value in sorted(ref.dataId.required.items()):
                put(value, "dataid", name)
        if self.quantum_id is not None:
            put(self.quantum_id, "quantum")
        if ref is not None or self.quantum_id is not None or self._inputs:
            put(len(self._inputs), "n_inputs")
        if max_inputs is None or len(self._inputs) <= max_inputs:
            for i, source in enumerate(self._inputs.values()):
                put(source.id, "input", str(i), "id")
                if not store_minimalist_inputs:
                    put(source.run, "input", str(i), "run")
                    put(source.datasetType.name, "input", str(i), "datasettype")
                for key, fact in self._extras.get(source.id, {}).items():
                    put(fact, "input", str(i), key)
        return flat

    @classmethod
    def from_flat_dict(
        cls, prov_dict: Mapping[str, Any], butler: Any
    ) -> tuple[DatasetProvenance, DatasetRef | None]:
        """Convert back from a flat dictionary.

        Parameters
        ----------
        prov_dict : mapping
            A header or the like; other keys are ignored.
        butler : `~lakebutler.Butler`
            Where the datasets are looked up by id.

        Returns
        -------
        provenance : `DatasetProvenance`
            What was found.
        ref : `DatasetRef` or `None`
            The dataset itself, if it is described.

        Raises
        ------
        DataIdValueError
            If there is no provenance in it.
        DatasetNotFoundError
            If a dataset is unknown to the butler.
        """
        found = _find(prov_dict)
        if not found:
            raise DataIdValueError("there is no provenance in this header")
        quantum = found.get("quantum")
        provenance = cls(quantum_id=None if quantum is None else _as_id(prov_dict[quantum]))
        facts: dict[int, dict[str, Any]] = {}
        for part, key in found.items():
            match = re.fullmatch(r"input\W(\d+)\W(.+)", part)
            if match:
                fact = match[2] if match[2] in _RESERVED else key[-len(match[2]) :]  # as it is written
                facts.setdefault(int(match[1]), {})[fact] = prov_dict[key]
        wanted = [_as_id(values["id"]) for _, values in sorted(facts.items()) if "id" in values]
        own = found.get("id")
        known = {
            ref.id: ref
            for ref in butler.get_many_datasets([*wanted, *([_as_id(prov_dict[own])] if own else [])])
            if ref
        }
        for _, values in sorted(facts.items()):
            dataset_id = _as_id(values.get("id"))
            if dataset_id not in known:
                raise DatasetNotFoundError(f"the input {dataset_id} is not known to this butler")
            provenance.add_input(known[dataset_id])
            extra = {k: v for k, v in values.items() if k not in _RESERVED}
            if extra:
                provenance.add_extra_provenance(dataset_id, extra)
        if own is None:
            return provenance, None
        self_id = _as_id(prov_dict[own])
        if self_id not in known:
            raise DatasetNotFoundError(f"the dataset {self_id} is not known to this butler")
        return provenance, known[self_id]

    @staticmethod
    def strip_provenance_from_flat_dict(prov_dict: MutableMapping[str, Any]) -> None:
        """Remove provenance from a header.

        Parameters
        ----------
        prov_dict : mutable mapping
            A header or the like; changed in place.
        """
        for key in list(_find(prov_dict).values()):
            del prov_dict[key]


def _as_id(value: Any) -> UUID:
    if isinstance(value, UUID):
        return value
    try:
        return UUID(str(value))
    except ValueError:
        raise DataIdValueError(f"{value!r} is no dataset id") from None


def _find(flat: Mapping[str, Any]) -> dict[str, str]:
    """Keys of provenance in a header, by what stands behind the prefix, in lower case."""
    for key in flat:
        match = re.fullmatch(r"(?:(?P<prefix>.*)(?P<sep>\W))?n_inputs", key, re.IGNORECASE | re.DOTALL)
        if not match:
            continue
        head = (match["prefix"] + match["sep"]) if match["sep"] else ""
        pattern = re.compile(
            re.escape(head) + r"((?:id|run|datasettype|quantum|n_inputs)|dataid\W.+|input\W\d+\W.+)",
            re.IGNORECASE | re.DOTALL,
        )
        found = {}
        for name in flat:
            hit = pattern.fullmatch(name)
            if hit:
                found[hit[1].lower()] = name
        return found
    return {}
