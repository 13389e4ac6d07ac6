# SPDX-License-Identifier: BSD-3-Clause
"""Configuration of a universe: read, checked, brought into one form.

The layout is described at the head of ``universe.yaml``.  `parse_universe`
accepts any mapping, from YAML or JSON, of a user or of a repository, and either
returns a `UniverseSpec` or raises an error of one line that names the place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from lakebutler.dimensions.columns import ColumnSpec
from lakebutler.dimensions.skypix import MAX_LEVELS
from lakebutler.errors import RepositoryFormatError, known_names

__all__ = ["ElementSpec", "UniverseSpec", "default_universe_config", "parse_universe", "spec_to_config"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_NAMESPACE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]{0,63}\Z")
_KEY_TYPES: Final = ("int", "string", "hash")
_COLUMN_TYPES: Final = ("int", "float", "bool", "string", "hash")
_TAKEN: Final = frozenset(
    {
        # What records and data IDs have as attributes of their own, and columns of dataset tables.
        *("region", "timespan", "definition", "fields", "layout", "get", "records", "dimensions", "universe"),
        *("mapping", "required", "subset", "union", "expanded", "standardize", "collection", "run"),
        *("dataset_type", "valid_begin", "valid_end", "ingest_date", "path", "uri", "formatter"),
        *("storage_class", "size", "checksum"),
    }
)
_MAX_ELEMENTS: Final = 1000
_MAX_COLUMNS: Final = 200


@dataclass(frozen=True, slots=True)
class ElementSpec:
    """What the configuration says of an element that is no pixelization."""

    name: str
    requires: tuple[str, ...] = ()
    """Required dimensions, itself not included."""
    implies: tuple[str, ...] = ()
    keys: tuple[ColumnSpec, ...] = ()
    columns: tuple[ColumnSpec, ...] = ()
    relation: bool = False
    governor: bool = False
    cached: bool = False
    always_join: bool = False
    populated_by: str | None = None
    values_of: str | None = None
    about: str = ""


@dataclass(frozen=True, slots=True)
class UniverseSpec:
    """What the configuration says of a universe."""

    namespace: str
    version: int
    common_skypix: str | None
    skypix: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """First and last level by system."""
    skypix_about: Mapping[str, str] = field(default_factory=dict)
    elements: Mapping[str, ElementSpec] = field(default_factory=dict)
    """Dimensions and relations by name."""
    spatial: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    temporal: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Members of each family, from the finest to the coarsest."""

    def skypix_names(self) -> list[str]:
        """Names of all pixelization dimensions.

        Returns
        -------
        names : `list` [`str`]
            By system and level.
        """
        return [f"{s}{n}" for s, (lo, hi) in sorted(self.skypix.items()) for n in range(lo, hi + 1)]


@lru_cache(maxsize=1)
def default_universe_config() -> Mapping[str, Any]:
    """Read the universe that comes with this package.

    Returns
    -------
    config : `~collections.abc.Mapping`
        Contents of ``universe.yaml``; not to be changed.
    """
    from importlib.resources import files

    import yaml

    text = files("lakebutler.dimensions").joinpath("universe.yaml").read_text(encoding="utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    config: Mapping[str, Any] = yaml.load(text, Loader=loader)  # noqa: S506 (both loaders are safe)
    return config


# ------------------------------------------------------------------ small readers


def _fail(path: str, message: str, hint: str | None = None) -> RepositoryFormatError:
    return RepositoryFormatError(f"universe config, {path}: {message}", hint=hint)


def _mapping(value: Any, path: str, allowed: Iterable[str] | None = None) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _fail(path, f"must be a mapping, not {type(value).__name__}")
    for key in value:
        if not isinstance(key, str):
            raise _fail(path, f"has the key {key!r}, which is no string")
        if allowed is not None and key not in allowed:
            raise _fail(path, f"unknown key {key!r}", known_names(key, allowed, what="known"))
    return value


def _names(value: Any, path: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise _fail(path, f"must be a list of names, not {type(value).__name__}")
    for i, name in enumerate(value):
        if not isinstance(name, str):
            raise _fail(f"{path}[{i}]", f"must be a name, not {type(name).__name__}")
    if len(set(value)) != len(value):
        raise _fail(path, "names something twice")
    return tuple(value)


def _flag(value: Mapping[str, Any], key: str, path: str) -> bool:
    flag = value.get(key, False)
    if not isinstance(flag, bool):
        raise _fail(f"{path}.{key}", "must be true or false")
    return flag


def _text(value: Mapping[str, Any], key: str, path: str) -> str:
    text = value.get(key, "")
    if not isinstance(text, str) or len(text) > 2000:
        raise _fail(f"{path}.{key}", "must be a text of at most 2000 characters")
    return text


def _name(name: str, path: str) -> str:
    if not _NAME.match(name):
        raise _fail(path, f"{name!r} is no name: lower case letters, digits and _, beginning with a letter")
    return name


def _column(value: Any, path: str, types: tuple[str, ...], *, is_key: bool) -> ColumnSpec:
    allowed = (
        ("name", "type", "length", "about") if is_key else ("name", "type", "length", "required", "about")
    )
    value = _mapping(value, path, allowed)
    name, kind, length = value.get("name"), value.get("type"), value.get("length")
    if not isinstance(name, str):
        raise _fail(path, "has no name")
    _name(name, f"{path}.name")
    if name in _TAKEN:
        raise _fail(f"{path}.name", f"{name!r} is taken")
    if kind not in types:
        raise _fail(f"{path}.type", f"must be one of {', '.join(types)}, not {kind!r}")
    if kind in ("string", "hash"):
        if type(length) is not int or not 1 <= length <= 4096:
            raise _fail(f"{path}.length", f"must be a number from 1 to 4096, not {length!r}")
    elif length is not None:
        raise _fail(f"{path}.length", f"has no meaning for {kind}")
    return ColumnSpec(
        name, kind, length, not (is_key or _flag(value, "required", path)), _text(value, "about", path)
    )


def _columns(value: Any, path: str, types: tuple[str, ...], *, is_key: bool) -> tuple[ColumnSpec, ...]:
    if not isinstance(value, list | tuple) or len(value) > _MAX_COLUMNS:
        raise _fail(path, f"must be a list of at most {_MAX_COLUMNS} columns")
    return tuple(_column(v, f"{path}[{i}]", types, is_key=is_key) for i, v in enumerate(value))


# ------------------------------------------------------------------------ elements

_DIMENSION_KEYS = ("about", "requires", "implies", "keys", "columns", "governor", "cached", "values_of")
_RELATION_KEYS = ("about", "relates", "columns", "populated_by", "always_join", "cached")


def _dimension(name: str, value: Any) -> ElementSpec:
    path = f"dimensions.{_name(name, 'dimensions')}"
    if name in _TAKEN:
        raise _fail(path, "this name is taken")
    value = _mapping(value, path, _DIMENSION_KEYS)
    keys = _columns(value.get("keys", ()), f"{path}.keys", _KEY_TYPES, is_key=True)
    if not keys:
        raise _fail(path, "has no keys")
    if keys[0].type == "hash":
        raise _fail(f"{path}.keys[0].type", "the primary key must be int or string")
    spec = ElementSpec(
        name=name,
        requires=_names(value.get("requires", ()), f"{path}.requires"),
        implies=_names(value.get("implies", ()), f"{path}.implies"),
        keys=keys,
        columns=_columns(value.get("columns", ()), f"{path}.columns", _COLUMN_TYPES, is_key=False),
        governor=_flag(value, "governor", path),
        cached=_flag(value, "cached", path),
        values_of=value.get("values_of"),
        about=_text(value, "about", path),
    )
    if spec.governor and (spec.requires or spec.implies):
        raise _fail(path, "a governor cannot depend on other dimensions")
    if spec.values_of is not None and (spec.requires or spec.implies or spec.columns or len(keys) > 1):
        raise _fail(path, "a dimension with values_of has nothing but its primary key")
    return spec


def _relation(name: str, value: Any) -> ElementSpec:
    path = f"relations.{_name(name, 'relations')}"
    value = _mapping(value, path, _RELATION_KEYS)
    relates = _names(value.get("relates", ()), f"{path}.relates")
    if len(relates) < 2:
        raise _fail(f"{path}.relates", "must name two dimensions or more")
    return ElementSpec(
        name=name,
        requires=relates,
        columns=_columns(value.get("columns", ()), f"{path}.columns", _COLUMN_TYPES, is_key=False),
        relation=True,
        cached=_flag(value, "cached", path),
        always_join=_flag(value, "always_join", path),
        populated_by=value.get("populated_by"),
        about=_text(value, "about", path),
    )


def _skypix(value: Any) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    levels, about = {}, {}
    for name, system in _mapping(value, "skypix", MAX_LEVELS).items():
        path = f"skypix.{name}"
        system = _mapping(system, path, ("levels", "about"))
        bounds = system.get("levels")
        if (
            not isinstance(bounds, list | tuple)
            or len(bounds) != 2
            or any(type(b) is not int for b in bounds)
            or not 0 <= bounds[0] <= bounds[1] <= MAX_LEVELS[name]
        ):
            raise _fail(
                f"{path}.levels", f"must be the first and the last level, from 0 to {MAX_LEVELS[name]}"
            )
        levels[name] = (bounds[0], bounds[1])
        about[name] = _text(system, "about", path)
    return levels, about


def _families(value: Any, space: str, elements: Mapping[str, ElementSpec]) -> dict[str, tuple[str, ...]]:
    families: dict[str, tuple[str, ...]] = {}
    seen: set[str] = set()
    for name, members in _mapping(value, space).items():
        path = f"{space}.{name}"
        _name(name, path)
        families[name] = _names(members, path)
        for i, member in enumerate(families[name]):
            if member not in elements:
                raise _fail(f"{path}[{i}]", f"unknown element {member!r}", known_names(member, elements))
            if member in seen:
                raise _fail(f"{path}[{i}]", f"{member!r} belongs to another {space} family already")
            seen.add(member)
        if not families[name]:
            raise _fail(path, "has no members")
    return families


# ------------------------------------------------------------------------- universe


def parse_universe(config: Mapping[str, Any]) -> UniverseSpec:
    """Check a universe's configuration.

    Parameters
    ----------
    config : `~collections.abc.Mapping`
        Layout of ``universe.yaml``.

    Returns
    -------
    spec : `UniverseSpec`
        The same, checked: every name known, no cycle.

    Raises
    ------
    RepositoryFormatError
        If something is wrong; the message names the place in the configuration.
    """
    top = (
        "namespace",
        "version",
        "common_skypix",
        "skypix",
        "dimensions",
        "relations",
        "spatial",
        "temporal",
        "about",
    )
    if not isinstance(config, Mapping):
        raise RepositoryFormatError(f"universe config: must be a mapping, not {type(config).__name__}")
    config = _mapping(config, "top level", top)
    namespace, version = config.get("namespace"), config.get("version")
    if not isinstance(namespace, str) or not _NAMESPACE.match(namespace):
        raise _fail("namespace", f"must be a short name, not {namespace!r}")
    if type(version) is not int or version < 0:
        raise _fail("version", f"must be a number, not {version!r}")
    dimensions = _mapping(config.get("dimensions", {}), "dimensions")
    relations = _mapping(config.get("relations") or {}, "relations")
    if len(dimensions) + len(relations) > _MAX_ELEMENTS:
        raise _fail("dimensions", f"more than {_MAX_ELEMENTS} elements")
    elements = {name: _dimension(name, value) for name, value in dimensions.items()}
    for name, value in relations.items():
        if name in elements:
            raise _fail(f"relations.{name}", "there is a dimension of this name")
        elements[name] = _relation(name, value)
    levels, about = _skypix(config.get("skypix") or {})
    spec = UniverseSpec(
        namespace=namespace,
        version=version,
        common_skypix=config.get("common_skypix"),
        skypix=levels,
        skypix_about=about,
        elements=elements,
        spatial=_families(config.get("spatial") or {}, "spatial", elements),
        temporal=_families(config.get("temporal") or {}, "temporal", elements),
    )
    _check_references(spec)
    return spec


def _check_references(spec: UniverseSpec) -> None:
    skypix = set(spec.skypix_names())
    dimensions = {n for n, e in spec.elements.items() if not e.relation}
    for name in sorted(skypix & set(spec.elements)):
        raise _fail(f"dimensions.{name}", "this name is taken by a pixelization")
    if spec.common_skypix is not None and spec.common_skypix not in list(skypix):
        raise _fail("common_skypix", f"there is no pixelization {spec.common_skypix!r}")
    for element in spec.elements.values():
        section = "relations" if element.relation else "dimensions"
        path = f"{section}.{element.name}"
        for key in ("requires", "implies"):
            shown = "relates" if element.relation else key
            for i, other in enumerate(getattr(element, key)):
                if other not in dimensions and not (key == "requires" and other in skypix):
                    raise _fail(
                        f"{path}.{shown}[{i}]", f"unknown dimension {other!r}", known_names(other, dimensions)
                    )
        if both := set(element.requires) & set(element.implies):
            raise _fail(f"{path}.implies", f"{min(both)!r} is required already")
        for key in ("populated_by", "values_of"):
            other = getattr(element, key)
            if other is not None and (not isinstance(other, str) or other not in dimensions):
                raise _fail(
                    f"{path}.{key}", f"unknown dimension {other!r}", known_names(str(other), dimensions)
                )
        if element.values_of is not None and element.name not in spec.elements[element.values_of].implies:
            raise _fail(f"{path}.values_of", f"{element.values_of!r} does not imply {element.name!r}")
        _check_fields(element, path)
    _check_cycles(spec)


def _check_fields(element: ElementSpec, path: str) -> None:
    """No two fields of a record and no two columns of its table may have one name."""
    own = [k.name for k in element.keys[1:]] + [c.name for c in element.columns]
    others = [*element.requires, *element.implies]
    fields = [k.name for k in element.keys[:1]] + others + own
    columns = [element.name, *others, *own, "timespan_begin", "timespan_end"]
    for names in (fields, columns):
        for name in names:
            if names.count(name) > 1:
                raise _fail(path, f"two columns are called {name!r}")


def _check_cycles(spec: UniverseSpec) -> None:
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            cycle = " -> ".join([*trail[trail.index(name) :], name])
            raise _fail(f"dimensions.{name}", f"depends on itself: {cycle}")
        element = spec.elements.get(name)
        if name in done or element is None:
            return
        if len(trail) > 100:
            raise _fail(f"dimensions.{name}", "more than 100 dimensions depend on each other in a row")
        for other in (*element.requires, *element.implies):
            visit(other, (*trail, name))
        done.add(name)

    for name in spec.elements:
        visit(name, ())


# ------------------------------------------------------------------------ back again


def _column_config(column: ColumnSpec, *, is_key: bool) -> dict[str, Any]:
    made: dict[str, Any] = {"name": column.name, "type": column.type}
    if column.length is not None:
        made["length"] = column.length
    if not is_key and not column.nullable:
        made["required"] = True
    if column.doc:
        made["about"] = column.doc
    return made


def _element_config(element: ElementSpec) -> dict[str, Any]:
    made: dict[str, Any] = {"about": element.about} if element.about else {}
    if element.requires:
        made["relates" if element.relation else "requires"] = list(element.requires)
    if element.implies:
        made["implies"] = list(element.implies)
    for key in ("governor", "cached", "always_join", "populated_by", "values_of"):
        if getattr(element, key):
            made[key] = getattr(element, key)
    if element.keys:
        made["keys"] = [_column_config(k, is_key=True) for k in element.keys]
    if element.columns:
        made["columns"] = [_column_config(c, is_key=False) for c in element.columns]
    return made


def spec_to_config(spec: UniverseSpec) -> dict[str, Any]:
    """Convert back to a configuration that JSON and YAML can hold.

    Parameters
    ----------
    spec : `UniverseSpec`
        A universe.

    Returns
    -------
    config : `dict`
        What `parse_universe` turns into the same universe.
    """
    config: dict[str, Any] = {"namespace": spec.namespace, "version": spec.version}
    if spec.common_skypix is not None:
        config["common_skypix"] = spec.common_skypix
    config["skypix"] = {
        name: {"levels": list(bounds)}
        | ({"about": spec.skypix_about[name]} if spec.skypix_about.get(name) else {})
        for name, bounds in spec.skypix.items()
    }
    config["dimensions"] = {n: _element_config(e) for n, e in spec.elements.items() if not e.relation}
    config["relations"] = {n: _element_config(e) for n, e in spec.elements.items() if e.relation}
    config["spatial"] = {name: list(members) for name, members in spec.spatial.items()}
    config["temporal"] = {name: list(members) for name, members in spec.temporal.items()}
    return config
