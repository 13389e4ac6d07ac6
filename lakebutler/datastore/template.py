# SPDX-License-Identifier: BSD-3-Clause
"""Names of files, from what a dataset is.  Pure: no file is touched here.

A template is text with fields in braces, read by the small parser below; nothing of
Python's formatting is reachable from it.  Fields:

``{run}`` ``{datasetType}`` ``{component}`` ``{id}``
    What the dataset is; ``{run:/}`` keeps the slashes of the run as directories.
``{visit}`` ``{detector.full_name}``
    A dimension's value, or a field of its record where the data ID has records.
``{skypix}``
    The value of whatever sky pixelization the data ID has.
``{exposure.obs_id|group}``
    The first of several that has a value.
``{band:?}``
    May be missing; the literal text before it, if it has no ``/``, is then left out.
``{visit:08d}``
    A number with at least so many digits.

Whatever the template says, the name ends in 12 hex digits of the dataset's id, so
that no two datasets share a name, not even where disks fold case.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol
from uuid import UUID

from lakebutler.datastore.paths import ARTIFACTS, MAX_PART, MAX_PATH
from lakebutler.errors import NameRuleError, known_names

__all__ = ["Field", "FileTemplate", "TemplateDataId", "default_path", "escape", "parse_template"]

_SAFE = re.compile(r"[A-Za-z0-9_+=,@-][A-Za-z0-9._+=,@-]*(?<!\.)")
_UNSAFE = re.compile(r"[^A-Za-z0-9._+=,@-]")
_TAIL = re.compile(r"-(?=[0-9a-fA-F]{12}(?![0-9A-Za-z_+=,@-]))")
_MAX_RUN = 400
_MAX_VALUE = 64
_MAX_BODY = 180
_TEXT_FIELDS = frozenset({"run", "datasetType", "dataset_type", "component", "id", "skypix"})
_GROUPING = ("skymap", "tract", "patch", "day_obs", "exposure", "visit", "group")
_CONSTANT = frozenset({"instrument", "skymap"})


class TemplateDataId(Protocol):
    """What a template asks of a data ID."""

    @property
    def dimensions(self) -> Any:
        """Group of dimensions, with ``required_names``."""

    @property
    def required_values(self) -> tuple[int | str, ...]:
        """Values of the required dimensions."""

    @property
    def mapping(self) -> Any:
        """All values that are known."""

    @property
    def records(self) -> Any:
        """Records, where `hasRecords`."""

    def hasRecords(self) -> bool:
        """Whether there are records."""


def escape(text: str, limit: int = MAX_PART) -> str:
    """Write a text so that it can be one part of a path anywhere.

    Parameters
    ----------
    text : `str`
        Any text.
    limit : `int`, optional
        Longest result; a longer one is cut and ends in ``~~`` and a hash.

    Returns
    -------
    part : `str`
        ASCII letters, digits and ``._+=,@-~``, neither beginning nor ending with a
        dot; different texts give different parts.
    """
    if _SAFE.fullmatch(text) is None:
        text_in = text
        text = _UNSAFE.sub(_hex, text)
        if text.startswith("."):
            text = "~2e" + text[1:]
        if text.endswith("."):
            text = text[:-1] + "~2e"
        if not text_in:
            text = "~~"
    if len(text) > limit:
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        text = f"{text[: limit - 18].rstrip('.')}~~{digest}"
    return text


def _hex(match: re.Match[str]) -> str:
    return "".join(f"~{byte:02x}" for byte in match.group().encode("utf-8", "surrogatepass"))


@lru_cache(maxsize=1024)
def _run_directory(run: str) -> str:
    """Directories for a run; no part of them can be the name of a dataset's file."""
    parts = [_TAIL.sub("~2d", escape(part, 200)) for part in run.split("/")]
    directory = "/".join(parts)
    if len(directory) > _MAX_RUN:
        digest = hashlib.sha256(run.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        directory = f"{parts[0][:100]}~~{digest}"
    return directory


@lru_cache(maxsize=1024)
def _type_name(name: str) -> str:
    return escape(name, 120)


@lru_cache(maxsize=1024)
def _plan(names: tuple[str, ...]) -> tuple[int, ...]:
    """Which dimensions make directories: all but the one that tells files apart."""
    indices = [i for i, name in enumerate(names) if name in _GROUPING]
    varying = [i for i, name in enumerate(names) if name not in _CONSTANT]
    if indices and all(i in indices for i in varying):
        indices.pop()
    return tuple(i for i in indices if names[i] not in _CONSTANT)


@lru_cache(maxsize=1024)
def _fixed(
    run: str, dataset_type: str, component: str | None, names: tuple[str, ...]
) -> tuple[str, str, tuple[int, ...]]:
    """What all files of a type in a run share: name, directory, which values make more directories."""
    name = _type_name(f"{dataset_type}.{component}" if component else dataset_type)
    return name, f"{_run_directory(run)}/{name}/", _plan(names)


def default_path(
    run: str,
    dataset_type: str,
    data_id: TemplateDataId,
    id: UUID,
    extension: str,
    component: str | None = None,
) -> str:
    """Name a file by the default template.

    Parameters
    ----------
    run : `str`
        Name of the dataset's RUN collection.
    dataset_type : `str`
        Name of its dataset type.
    data_id : `TemplateDataId`
        Its data ID; only the required values are used, so that the name does not
        depend on what else is known.
    id : `uuid.UUID`
        Its id.
    extension : `str`
        End of the name, with the dot.
    component : `str`, optional
        Name of the component that this file holds.

    Returns
    -------
    path : `str`
        ``datastore/<run>/<type>/<tract, exposure...>/<type>_<values>-<id>.<ext>``.
    """
    name, directory, plan = _fixed(run, dataset_type, component, data_id.dimensions.required_names)
    values = [str(v) if type(v) is int else escape(str(v), _MAX_VALUE) for v in data_id.required_values]
    if plan:
        directories = "".join([f"{values[i]}/" for i in plan])
        directory += _TAIL.sub("~2d", directories) if "-" in directories else directories
    return _finish(directory, "_".join([name, *values]), id, extension, run)


def _finish(directory: str, body: str, id: UUID, extension: str, run: str) -> str:
    if len(body) > _MAX_BODY:
        digest = hashlib.sha256(body.encode()).hexdigest()[:16]
        body = f"{body[: _MAX_BODY - 18]}~~{digest}"
    name = f"{body}-{id.hex[20:]}{extension}"
    path = f"{ARTIFACTS}/{directory}{name}"
    if len(path) > MAX_PATH:
        digest = hashlib.sha256(f"{run}\0{directory}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
        path = f"{ARTIFACTS}/~~{digest}/{name}"
    return path


# ------------------------------------------------------------------- user templates

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)?")
_SPEC = re.compile(r"(?P<optional>\??)(?P<slash>/?)(?:0?(?P<width>[0-9]{1,2})d?)?(?P<late>\??)")
_LITERAL = re.compile(r"[A-Za-z0-9._+=,@/~-]*")


@dataclass(frozen=True)
class Field:
    """One field of a template.

    Attributes
    ----------
    names : `tuple` [`str`]
        Alternatives, the first with a value is taken.
    optional : `bool`
        All may be missing.
    slash : `bool`
        Slashes in the value are directories.
    width : `int`
        Least number of digits of a number.
    """

    names: tuple[str, ...]
    optional: bool = False
    slash: bool = False
    width: int = 0


@dataclass(frozen=True)
class FileTemplate:
    """A parsed template.

    Attributes
    ----------
    text : `str`
        As it was written.
    parts : `tuple` [`str` or `Field`]
        Literal texts and fields in turn.
    """

    text: str
    parts: tuple[str | Field, ...]

    def path(
        self,
        run: str,
        dataset_type: str,
        data_id: TemplateDataId,
        id: UUID,
        extension: str,
        component: str | None = None,
    ) -> str:
        """Name a file; arguments as for `default_path`.

        Returns
        -------
        path : `str`
            Below ``datastore/``; its name ends in digits of the id.

        Raises
        ------
        NameRuleError
            Raised if a field that is not optional has no value.
        """
        get = _getter(run, dataset_type, data_id, id, component)
        out: list[str] = []
        pending = ""
        for part in self.parts:
            if isinstance(part, str):
                pending += part
                continue
            text = self._render(part, get)
            if text is None:
                pending = pending if "/" in pending else ""
                continue
            out.append(pending + text)
            pending = ""
        out.append(pending)
        pieces = [p for p in "".join(out).split("/") if p not in {"", ".", ".."}]
        if not pieces:
            pieces = [_type_name(dataset_type)]
        *directories, body = [_limit(_trim(piece), 200) for piece in pieces]
        directory = "".join(_TAIL.sub("~2d", d) + "/" for d in directories)
        return _finish(directory, body, id, extension, run)

    def _render(self, field: Field, get: Callable[[str], int | str | None]) -> str | None:
        for name in field.names:
            value = get(name)
            if value is None:
                continue
            if isinstance(value, int):
                return f"{value:0{field.width}d}" if field.width else str(value)
            if field.slash:
                return "/".join(escape(part, 200) for part in value.split("/"))
            return escape(value.replace("/", "_"), 200)
        if field.optional:
            return None
        raise NameRuleError(
            f"the file template {self.text!r} needs {' or '.join(field.names)}, which the dataset has not",
            hint=f"write {{{'|'.join(field.names)}:?}} if it may be missing",
        )


def _trim(piece: str) -> str:
    piece = f"~2e{piece[1:]}" if piece.startswith(".") else piece
    return f"{piece[:-1]}~2e" if piece.endswith(".") else piece


def _limit(piece: str, limit: int) -> str:
    if len(piece) <= limit:
        return piece
    return f"{piece[: limit - 18]}~~{hashlib.sha256(piece.encode()).hexdigest()[:16]}"


def _getter(
    run: str, dataset_type: str, data_id: TemplateDataId, id: UUID, component: str | None
) -> Callable[[str], int | str | None]:
    fixed = {"run": run, "datasetType": dataset_type, "dataset_type": dataset_type, "component": component}
    fixed["id"] = id.hex

    def get(name: str) -> int | str | None:
        if name in fixed:
            return fixed[name]
        element, dot, field = name.partition(".")
        values = data_id.mapping
        if name == "skypix":
            element = next((n for n in data_id.dimensions.required if n.startswith(("htm", "healpix"))), name)
        if not dot or field == "id":
            value = values.get(element)
        else:
            value = None
            if data_id.hasRecords():
                record = data_id.records.get(element) if hasattr(data_id.records, "get") else None
                value = (
                    getattr(record, field, None) if record is not None and not field.startswith("_") else None
                )
        return value if isinstance(value, int | str) and not isinstance(value, bool) else None

    return get


@lru_cache(maxsize=1024)
def parse_template(text: str) -> FileTemplate:
    """Parse a template.

    Parameters
    ----------
    text : `str`
        See the head of this module.

    Returns
    -------
    template : `FileTemplate`
        The parsed template.

    Raises
    ------
    NameRuleError
        Raised if it cannot be understood, or could lead out of its directory.
    """
    if not text or len(text) > MAX_PATH:
        raise NameRuleError(
            f"a file template is a text of 1 to {MAX_PATH} characters, not {str(text)[:60]!r}"
        )
    parts: list[str | Field] = []
    position = 0
    while position < len(text):
        opening = text.find("{", position)
        literal = text[position:] if opening < 0 else text[position:opening]
        _check_literal(literal, text)
        if literal:
            parts.append(literal)
        if opening < 0:
            break
        closing = text.find("}", opening)
        if closing < 0:
            raise NameRuleError(f"the file template {text!r} has a {{ without a }}")
        parts.append(_parse_field(text[opening + 1 : closing], text))
        position = closing + 1
    if text.startswith("/") or ".." in re.split(r"/|\{[^}]*\}", text):
        raise NameRuleError(f"the file template {text!r} leads out of the repository")
    return FileTemplate(text, tuple(parts))


def _check_literal(literal: str, text: str) -> None:
    if _LITERAL.fullmatch(literal) is None or ".." in literal:
        raise NameRuleError(
            f"the file template {text!r} has {literal!r}, which cannot be part of a path",
            hint="letters, digits and . _ + = , @ ~ - / are possible",
        )


def _parse_field(inside: str, text: str) -> Field:
    name_text, colon, spec_text = inside.partition(":")
    names = tuple(name_text.split("|"))
    for name in names:
        if _FIELD.fullmatch(name) is None:
            raise NameRuleError(
                f"the file template {text!r} has the field {inside!r}, which is no name of a field",
                hint=known_names(name, _TEXT_FIELDS, what="fields") + ", a dimension, or dimension.field",
            )
    spec = _SPEC.fullmatch(spec_text)
    if spec is None or (colon and not spec_text):
        raise NameRuleError(
            f"the file template {text!r} has the format {spec_text!r}",
            hint="possible are ? and / and digits as in 08d",
        )
    width = int(spec["width"] or 0)
    if width > 20:
        raise NameRuleError(f"the file template {text!r} asks for {width} digits; at most 20")
    return Field(
        names, optional=bool(spec["optional"] or spec["late"]), slash=bool(spec["slash"]), width=width
    )
