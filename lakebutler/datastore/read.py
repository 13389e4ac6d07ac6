# SPDX-License-Identifier: BSD-3-Clause
"""From a verified file to the object that the caller wants."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lakebutler.datasets.delegate import StorageClassDelegate
from lakebutler.datasets.storage_class import StorageClass, StorageClassFactory
from lakebutler.datastore.files import Content, checksum_of, stream_checksum
from lakebutler.datastore.records import FileRecord
from lakebutler.errors import (
    ButlerError,
    DatasetNotFoundError,
    FileFormatError,
    FileIntegrityError,
    StorageClassError,
)
from lakebutler.formatters.factory import formatter_class, get_formatter, parse_key
from lakebutler.formatters.formatter import Formatter, Source

__all__ = ["Plan", "Verifier", "describe", "make_plan", "read_object", "take_component", "with_provenance"]

IN_MEMORY = 32 << 20
"""Local files up to this size, in bytes, are read into memory at once."""

PARTLY = 1 << 20
"""Of local files up to this size, in bytes, parts are read from memory too."""

_SHOWN = len("sha256:") + 12
_REMEMBERED = 10_000


def describe(ref: Any) -> str:
    """Name a dataset in a message.

    Parameters
    ----------
    ref : `DatasetRef`
        The dataset.

    Returns
    -------
    text : `str`
        Its type, data ID, run and id.
    """
    values = ", ".join(
        f"{k}={v}" for k, v in zip(ref.dataId.dimensions.required, ref.dataId.required_values, strict=True)
    )
    return f"dataset {ref.datasetType.name}({values}) in run {ref.run!r} ({ref.id})"


class Plan(NamedTuple):
    """How to read a dataset.

    Attributes
    ----------
    formatter : `Formatter` or `None`
        `None` gives the file as it is.
    component : `str` or `None`
        What the formatter is to read.
    part : `str` or `None`
        Component to take from the whole, where the formatter reads only that.
    parent : `StorageClass` or `None`
        What the whole is to be before the part is taken.
    target : `StorageClass`
        What the caller gets.
    one_way : `bool`
        The formatter's object goes to the caller as it is.
    """

    formatter: Formatter | None
    component: str | None
    part: str | None
    parent: StorageClass | None
    target: StorageClass
    one_way: bool = False


def make_plan(
    record: FileRecord, parent: str, component: str | None, wanted: StorageClass | str | None, trust: bool
) -> Plan:
    """Decide how to read a dataset.

    Parameters
    ----------
    record : `FileRecord`
        Only its formatter and storage class are looked at.
    parent : `str`
        Name of the storage class of the dataset type as the caller knows it.
    component : `str` or `None`
        Name of the component that is asked for.
    wanted : `StorageClass` or `str` or `None`
        What the caller asked for, if anything.
    trust : `bool`
        The caller trusts the files.

    Returns
    -------
    plan : `Plan`
        What `read_object` follows.
    """
    factory = StorageClassFactory()
    name = wanted if isinstance(wanted, str) else wanted.name if wanted is not None else None
    if component is None and name in {"Bytes", "Path"}:
        return Plan(None, None, None, None, factory.getStorageClass(name))
    try:
        whole = factory.getStorageClass(parent) if component is not None or wanted is None else None
        target = factory.getStorageClass(wanted) if isinstance(wanted, str) else wanted
        if target is None and whole is not None:
            target = whole.component(component) if component is not None else whole
    except StorageClassError as exc:
        hint = "storageClass='Bytes' gives the file's content, storageClass='Path' the file"
        raise type(exc)(exc.message, hint=f"{exc.hint}\n{hint}" if exc.hint else hint) from None
    assert target is not None
    formatter = get_formatter(record.formatter, trust=trust)
    formatter = _relative(formatter, record.formatter, whole if component is not None else target, component)
    if component is None or component in formatter.components:
        return Plan(formatter, component, None, None, target, formatter.one_way and wanted is None)
    assert whole is not None
    return Plan(formatter, None, component, whole, target)


def _relative(formatter: Formatter, key: str, goal: StorageClass | None, component: str | None) -> Formatter:
    """The formatter of the same family that reads the wanted type, or component, itself."""
    if goal is None or not formatter.family or formatter.key in goal.formatters:
        return formatter
    for candidate in goal.formatters:
        cls = formatter_class(candidate)
        if cls.family == formatter.family and (component is None or component in cls.components):
            options = {k: v for k, v in parse_key(key)[1].items() if k in cls.options}
            text = "&".join(f"{k}={v}" for k, v in options.items())
            return get_formatter(f"{cls.key}?{text}" if text else cls.key)
    return formatter


class Verifier:
    """Checks that files are the ones that were recorded.

    A file that is read in parts is hashed whole the first time; then not again
    until it changes.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[int, ...], str] = {}

    def check(self, content: Content, record: FileRecord, place: str, ref: Any) -> None:
        """Compare a file with its record.

        Parameters
        ----------
        content : `Content`
            The file.
        record : `FileRecord`
            What it has to be.
        place : `str`
            Where it is, for the message.
        ref : `DatasetRef`
            The dataset, for the message.

        Raises
        ------
        FileIntegrityError
            Raised if it is not the one that was recorded.
        """
        check_size(content, record, place, ref)
        expected = record.checksum
        if expected is None:
            return
        if not expected.startswith("sha256:"):
            raise FileIntegrityError(f"{describe(ref)}: checksum {expected[:40]!r} is of an unknown kind")
        if content.data is not None:
            found = checksum_of(content.data)
        elif content.identity and self._seen.get(content.identity) == expected:
            return
        else:
            assert content.stream is not None
            found = stream_checksum(content.stream)
        if found != expected:
            raise FileIntegrityError(
                f"{describe(ref)}: the file {place} is not the one that was stored: "
                f"expected {expected[:_SHOWN]}..., found {found[:_SHOWN]}...",
                hint="lakebutler verify names all such files; verify: false in butler.yaml reads them",
            )
        if content.identity:
            if len(self._seen) > _REMEMBERED:
                self._seen.clear()
            self._seen[content.identity] = expected


def check_size(content: Content, record: FileRecord, place: str, ref: Any) -> None:
    """Compare a file's size with its record.

    Parameters
    ----------
    content : `Content`
        The file.
    record : `FileRecord`
        What it has to be.
    place : `str`
        Where it is, for the message.
    ref : `DatasetRef`
        The dataset, for the message.

    Raises
    ------
    FileIntegrityError
        Raised if it has another size.
    """
    if content.size != record.size:
        raise FileIntegrityError(
            f"{describe(ref)}: the file {place} has the wrong size: "
            f"expected {record.size} bytes, found {content.size}"
        )


def missing(ref: Any, place: str) -> DatasetNotFoundError:
    """Make the error for a file that is gone.

    Parameters
    ----------
    ref : `DatasetRef`
        The dataset.
    place : `str`
        Where its file should be.

    Returns
    -------
    error : `DatasetNotFoundError`
        To be raised; it is a `FileNotFoundError`.
    """
    return DatasetNotFoundError(f"{describe(ref)}: its file {place} is missing")


def read_object(
    plan: Plan,
    content: Content,
    parameters: Mapping[str, Any] | None,
    place: str,
    describe_it: Callable[[], str],
) -> Any:
    """Make the object.

    Parameters
    ----------
    plan : `Plan`
        How.
    content : `Content`
        The verified file; closed here.
    parameters : mapping or `None`
        Parameters of the read.
    place : `str`
        Where the file is, for messages.
    describe_it : callable
        Names the dataset, for messages.

    Returns
    -------
    obj : `object`
        What the caller gets.
    """
    keep = False
    if content.stream is not None:
        content.stream.close()
    try:
        if plan.formatter is None:
            if parameters:
                raise FileFormatError(f"a file as it is has no parameters; got {', '.join(parameters)}")
            if plan.target.name == "Path":
                keep = True
                return Path(content.path) if content.path is not None else _scratch(content, place)
            return content.data if content.data is not None else Path(content.path or "").read_bytes()
        theirs = _for_delegate(plan, parameters)
        mine = {k: v for k, v in (parameters or {}).items() if k not in theirs} if theirs else parameters
        return _convert(plan, _parse(plan, content, mine, place, describe_it), theirs)
    finally:
        if content.temporary and not keep:
            with contextlib.suppress(OSError):
                os.unlink(content.path or "")


def _parse(
    plan: Plan,
    content: Content,
    parameters: Mapping[str, Any] | None,
    place: str,
    describe_it: Callable[[], str],
) -> Any:
    formatter = plan.formatter
    assert formatter is not None
    source = Source(place, data=content.data, path=content.path)
    try:
        return formatter.read(source, plan.component, parameters)
    except FileFormatError as exc:
        raise FileFormatError(f"{describe_it()}: {place}: {exc.message}", hint=exc.hint) from exc
    except ButlerError:
        raise
    except MemoryError as exc:
        raise FileFormatError(f"{describe_it()}: {place} needs more memory than there is: {exc}") from exc
    except Exception as exc:
        reason = " ".join(str(exc).split())[:300] or type(exc).__name__
        raise FileFormatError(
            f"{describe_it()}: {place} cannot be read as {formatter.key}: {reason}",
            hint="storageClass='Bytes' gives the file's content",
        ) from exc


def _for_delegate(plan: Plan, parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """The parameters that the formatter does not know, but the delegate of the storage class applies."""
    whole = plan.parent if plan.part is not None else plan.target if plan.component is None else None
    if not parameters or whole is None or not whole.has_delegate or plan.formatter is None:
        return {}
    known = plan.formatter.parameters
    return {k: v for k, v in parameters.items() if k not in known and k in whole.parameters}


def _convert(plan: Plan, obj: Any, parameters: Mapping[str, Any]) -> Any:
    if plan.part is not None and plan.parent is not None:
        whole = plan.parent.coerce(obj)
        if plan.parent.has_delegate:
            delegate = plan.parent.delegate()
            whole = delegate.handleParameters(whole, parameters) if parameters else whole
            obj = take_component(delegate, whole, plan.part)
        else:
            obj = whole.get(plan.part) if isinstance(whole, Mapping) else getattr(whole, plan.part, None)
    elif plan.one_way:
        return obj
    elif parameters:
        return plan.target.delegate().handleParameters(plan.target.coerce(obj), parameters)
    if obj is None and (plan.part is not None or plan.component is not None):
        return None
    return plan.target.coerce(obj)


def take_component(delegate: StorageClassDelegate, whole: Any, component: str) -> Any:
    """Take a component out of a composite.

    Parameters
    ----------
    delegate : `StorageClassDelegate`
        That of its storage class.
    whole : `object`
        The composite.
    component : `str`
        Name of the component.

    Returns
    -------
    part : `object`
        The component.

    Raises
    ------
    StorageClassError
        Raised if it is not to be found.
    """
    try:
        return delegate.getComponent(whole, component)
    except AttributeError as exc:
        raise StorageClassError(f"component {component!r} is not to be found: {exc}") from None


def _scratch(content: Content, place: str) -> Path:
    """A copy on the local disk, in a directory that goes with the process."""
    import tempfile

    global _directory  # noqa: PLW0603 - one for the process
    if _directory is None:
        _directory = tempfile.TemporaryDirectory(prefix="lakebutler-")
    inner = tempfile.mkdtemp(dir=_directory.name)
    path = Path(inner) / (place.rpartition("/")[2] or "file")
    path.write_bytes(content.data or b"")
    return path


_directory: Any = None


def with_provenance(formatter: Formatter, obj: Any, ref: Any, provenance: Any) -> Any:
    """Put provenance into an object that is to be written, where its format can.

    Parameters
    ----------
    formatter : `Formatter`
        Writes it.
    obj : `object`
        What is written.
    ref : `DatasetRef`
        The dataset.
    provenance : `DatasetProvenance` or `None`
        Where it comes from.

    Returns
    -------
    obj : `object`
        The object, or a copy with the provenance.
    """
    if provenance is None or formatter.provenance_style is None:
        return obj
    prefix, separator = formatter.provenance_style
    facts = provenance.to_flat_dict(ref, prefix=prefix, sep=separator, simple_types=True)
    return formatter.with_provenance(obj, facts)
