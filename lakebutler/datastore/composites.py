# SPDX-License-Identifier: BSD-3-Clause
"""Datasets in parts: which are written so, and how they are written and read.

A composite is taken apart by the delegate of its storage class, and each component
is written as a file of its own.  Reading one component opens that file only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lakebutler.datasets.delegate import StorageClassDelegate
from lakebutler.datasets.storage_class import StorageClass, StorageClassFactory
from lakebutler.datastore.lookup import Overrides
from lakebutler.datastore.read import Plan, describe, make_plan, take_component
from lakebutler.datastore.records import FileRecord
from lakebutler.errors import (
    ButlerError,
    FileFormatError,
    RepositoryFormatError,
    StorageClassError,
    known_names,
)
from lakebutler.formatters.factory import formatter_class, parse_key

__all__ = ["Composites", "CompositeReader", "put_parts"]

_SETTINGS = ("default", "disassembled")


class Composites:
    """Which datasets are to be written in parts.

    Parameters
    ----------
    config : mapping, optional
        ``default``, true or false, and ``disassembled``, a table of true and false by
        dataset type and the like (`Overrides`).

    Raises
    ------
    RepositoryFormatError
        Raised if it is not of this form.
    """

    def __init__(self, config: Mapping[str, Any] | None) -> None:
        if config is not None and not isinstance(config, Mapping):
            raise RepositoryFormatError("composites must be a mapping with default and disassembled")
        given = config or {}
        for name in given:
            if name not in _SETTINGS:
                raise RepositoryFormatError(
                    f"composites have unknown {name!r}", hint=known_names(str(name), _SETTINGS)
                )
        self._default = given.get("default", False)
        if not isinstance(self._default, bool):
            raise RepositoryFormatError("composites: default must be true or false")
        self._table: Overrides[bool] = Overrides(
            given.get("disassembled"), bool, "composites, disassembled", kind=bool
        )
        self._asked = self._default or bool(self._table)

    def wants(self, ref: Any) -> bool:
        """Whether a dataset is to be written in parts.

        Parameters
        ----------
        ref : `DatasetRef`
            The dataset.

        Returns
        -------
        disassemble : `bool`
            False for what is no composite, and by default for what nothing can take apart.

        Raises
        ------
        StorageClassError
            Raised if the configuration names it, but its storage class has no delegate.
        """
        if not self._asked:
            return False
        storage_class = ref.datasetType.storageClass
        if not storage_class.isComposite() or ref.datasetType.component() is not None:
            return False
        chosen = self._table.find(ref)
        if chosen is None:
            return bool(self._default) and storage_class.has_delegate
        if chosen and not storage_class.has_delegate:
            raise StorageClassError(
                f"{ref.datasetType.name} is to be written in parts, but nothing takes storage class "
                f"{storage_class.name!r} apart",
                hint="give the storage class a delegate, or say false: datastore: composites: disassembled:",
            )
        return chosen

    @staticmethod
    def components(ref: Any) -> list[str]:
        """Names of the components that a dataset would have files for."""
        storage_class = ref.datasetType.storageClass
        return list(storage_class.delegate().storedComponents())


def put_parts(
    obj: Any,
    ref: Any,
    provenance: Any,
    write: Callable[[Any, Any, Any], FileRecord],
    undo: Callable[[list[str]], None],
) -> FileRecord:
    """Write an object in parts.

    Parameters
    ----------
    obj : `object`
        Of the storage class of the dataset type.
    ref : `DatasetRef`
        The dataset.
    provenance : `DatasetProvenance` or `None`
        Where it comes from.
    write : callable
        Writes an object as the file of a component's reference.
    undo : callable
        Removes files that were written.

    Returns
    -------
    record : `FileRecord`
        One record for all files.

    Raises
    ------
    StorageClassError, FileFormatError, StorageError
        Raised if it cannot be taken apart, or a part not written; nothing is left behind.
    """
    storage_class = ref.datasetType.storageClass
    delegate = storage_class.delegate()
    whole = obj if delegate.can_accept(obj) else storage_class.coerce(obj)
    found = delegate.disassemble(delegate.add_provenance(whole, ref, provenance))
    if not found:
        raise FileFormatError(f"cannot write {describe(ref)} in parts: it has no component")
    made: dict[str, FileRecord] = {}
    try:
        for name, part in found.items():
            made[name] = write(part.component, ref.makeComponentRef(name), provenance)
    except BaseException:
        undo([record.path for record in made.values() if record.path is not None])
        raise
    return FileRecord.of_parts(made, storage_class.name)


class CompositeReader:
    """Reads one dataset that is in parts.

    Parameters
    ----------
    ref : `DatasetRef`
        The dataset.
    record : `FileRecord`
        Its record.
    read : callable
        Reads a file: of a record, a `Plan` and parameters.
    trust : `bool`
        The caller trusts the files.
    """

    def __init__(
        self,
        ref: Any,
        record: FileRecord,
        read: Callable[[FileRecord, Plan, Mapping[str, Any] | None], Any],
        *,
        trust: bool,
    ) -> None:
        self._ref = ref
        self._parts = record.parts or {}
        self._read = read
        self._trust = trust
        try:
            self._written = StorageClassFactory().getStorageClass(record.storage_class)
        except StorageClassError as exc:
            hint = "retrieveArtifacts brings its files as they are"
            raise StorageClassError(exc.message, hint=f"{exc.hint}\n{hint}" if exc.hint else hint) from None

    def get(
        self,
        own: str,
        component: str | None,
        parameters: Mapping[str, Any] | None,
        wanted: StorageClass | str | None,
    ) -> Any:
        """Read it, or a component of it.

        Parameters
        ----------
        own : `str`
            Name of the storage class of the dataset type as the caller knows it.
        component : `str` or `None`
            What is to be read.
        parameters : mapping or `None`
            Parameters of the read.
        wanted : `StorageClass` or `str` or `None`
            What the caller gets.

        Returns
        -------
        obj : `object`
            Of the storage class that is wanted.
        """
        factory = StorageClassFactory()
        target = factory.getStorageClass(wanted) if isinstance(wanted, str) else wanted
        if component is not None:
            return self._component(factory.getStorageClass(own), component, parameters, target)
        if target is not None and target.name in {"Bytes", "Path"}:
            raise FileFormatError(
                f"{describe(self._ref)} is in {len(self._parts)} files: it has no content of its own",
                hint=f"read a component so: {', '.join(self._parts)}",
            )
        obj = self._whole(parameters)
        return (target if target is not None else factory.getStorageClass(own)).coerce(obj)

    def _whole(self, parameters: Mapping[str, Any] | None) -> Any:
        """Read all parts that the storage class knows, and put them together."""
        self._written.validateParameters(parameters)
        rest = dict(parameters or {})
        used: set[str] = set()
        parts = {}
        for name, record in self._parts.items():
            if name not in self._written.components:
                continue
            mine = _understood(record, rest)
            used.update(mine)
            parts[name] = self._read(record, self._as_written(name, record), mine or None)
        delegate = self._written.delegate()
        try:
            obj = delegate.assemble(parts)
        except ButlerError:
            raise
        except Exception as exc:  # whatever the constructor of a stranger's type raises
            reason = " ".join(str(exc).split())[:300] or type(exc).__name__
            raise FileFormatError(
                f"{describe(self._ref)}: its parts make no {self._written.pytype_name}: {reason}",
                hint=f"read a component: {', '.join(parts)}",
            ) from exc
        left = {key: value for key, value in rest.items() if key not in used}
        return delegate.handleParameters(obj, left) if left else obj

    def _component(
        self, own: StorageClass, name: str, parameters: Mapping[str, Any] | None, target: StorageClass | None
    ) -> Any:
        if target is None:
            target = (own if name in own.allComponents() else self._written).component(name)
        record = self._parts.get(name)
        if record is not None:
            return self._alone(name, record, parameters, target)
        delegate = self._written.delegate()
        try:
            base = delegate.selectResponsibleComponent(name, set(self._parts))
        except (NotImplementedError, ValueError):
            base = ""
        found: Any
        if base in self._parts:
            found = self._derived(name, base, parameters, target)
        elif name in self._written.components:
            return None  # the composite had none
        elif name in self._written.derivedComponents:
            found = take_component(delegate, self._whole(parameters), name)
        else:
            theirs = own.delegate() if own.has_delegate else StorageClassDelegate(own)
            found = take_component(theirs, own.coerce(self._whole(parameters)), name)
        return None if found is None else target.coerce(found)

    def _alone(
        self, name: str, record: FileRecord, parameters: Mapping[str, Any] | None, target: StorageClass
    ) -> Any:
        """Read the one file of a component."""
        mine = _understood(record, parameters or {})
        left = {key: value for key, value in (parameters or {}).items() if key not in mine}
        plan = self._as_written(name, record) if parameters else self._plan(record, None, target)
        found = self._read(record, plan, mine or None)
        if left:
            self._written.validateParameters(left)
            found = self._written.delegate().handleComponentParameters(name, found, left)
        return target.coerce(found) if parameters else found

    def _derived(
        self, name: str, base: str, parameters: Mapping[str, Any] | None, target: StorageClass
    ) -> Any:
        """Compute a component from the one file that it depends on."""
        record = self._parts[base]
        if name in formatter_class(parse_key(record.formatter)[0]).components:
            return self._read(record, self._plan(record, name, target), parameters)
        part = self._alone(base, record, parameters, self._written.component(base))
        return self._written.delegate().deriveComponent(name, base, part)

    def _as_written(self, name: str, record: FileRecord) -> Plan:
        """How to read a part as what it was written as; if that is not known here, as the component."""
        known = record.storage_class in StorageClassFactory()
        return self._plan(record, None, None if known else self._written.component(name))

    def _plan(self, record: FileRecord, component: str | None, target: StorageClass | None) -> Plan:
        return make_plan(record, record.storage_class, component, target, self._trust)


def _understood(record: FileRecord, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the storage class of a part, which its formatter or its delegate applies."""
    factory = StorageClassFactory()
    if not parameters or record.storage_class not in factory:
        return {}
    own = factory.getStorageClass(record.storage_class)
    known = formatter_class(parse_key(record.formatter)[0]).parameters
    return {k: v for k, v in own.filterParameters(parameters).items() if k in known or own.has_delegate}
