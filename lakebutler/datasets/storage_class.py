# SPDX-License-Identifier: BSD-3-Clause
"""Storage classes: which Python type a dataset is, by name.

A repository holds only the *name* of a storage class.  What the name means comes
from this package (``storage_classes.yaml``), from installed packages (entry points
of the group ``lakebutler.storage_classes``), from the user's own configuration or
from the running program; never from a repository.  Python types are imported when
an object of them is first needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

from lakebutler.datasets.composite import Composite
from lakebutler.datasets.storage_class_types import instance_of, resolve_type, type_name
from lakebutler.errors import StorageClassError, known_names

__all__ = ["StorageClass", "StorageClassFactory", "UnknownStorageClassError"]

ENTRY_POINT_GROUP = "lakebutler.storage_classes"
"""Entry points of this group give mappings of the form of ``storage_classes.yaml``."""

_FIELDS = frozenset(
    {
        "pytype",
        "components",
        "derivedComponents",
        "parameters",
        "converters",
        "delegate",
        "formatters",
        "inheritsFrom",
        "description",
    }
)

Converter = str | Callable[[Any], Any]


class UnknownStorageClassError(StorageClassError, KeyError):
    """There is no storage class of this name."""

    kind = "unknown_storage_class"


class StorageClass(Composite):
    """What a dataset is in Python: an immutable value.

    Parameters
    ----------
    name : `str`
        Name of the storage class.
    pytype : `type` or `str`, optional
        Python type, or its qualified name to be imported when first needed;
        `object` by default.
    components : mapping, optional
        Name of each part that can be read alone, to its storage class or the
        name of it.
    derivedComponents : mapping, optional
        The same for what is computed from the whole and can only be read.
    parameters : collection of `str`, optional
        Names of the parameters that reading understands.
    delegate : `type` or `str`, optional
        A `StorageClassDelegate` that takes objects apart, or its qualified name.
    converters : mapping, optional
        Qualified name of another type, to the way from it to this one: a key of
        `lakebutler.datasets.storage_class_convert` or a function of one argument.
    formatters : collection of `str`, optional
        Keys of the formatters that can hold it, the default first.
    inheritsFrom : `StorageClass`, optional
        Where all that is not given here is taken from.
    description : `str`, optional
        One sentence for a person.
    factory : `StorageClassFactory`, optional
        Where names of components are looked up; the shared one by default.
    """

    def __init__(
        self,
        name: str,
        pytype: type | str | None = None,
        components: Mapping[str, StorageClass | str] | None = None,
        derivedComponents: Mapping[str, StorageClass | str] | None = None,
        parameters: Collection[str] | None = None,
        delegate: type | str | None = None,
        converters: Mapping[str, Converter] | None = None,
        formatters: Collection[str] | None = None,
        *,
        inheritsFrom: StorageClass | None = None,
        description: str = "",
        factory: StorageClassFactory | None = None,
    ) -> None:
        base = inheritsFrom
        self.name: str = name
        self.pytype_name: str
        self.parameters: frozenset[str]
        self.formatters: tuple[str, ...]
        self.description: str
        self._components: dict[str, StorageClass | str]
        self._derived: dict[str, StorageClass | str]
        self._pytype: type | None = pytype if isinstance(pytype, type) else None
        if pytype is None:
            self.pytype_name = base.pytype_name if base else "object"
        else:
            self.pytype_name = pytype if isinstance(pytype, str) else type_name(pytype)
        self._components = {**(base._components if base else {}), **(components or {})}
        self._derived = {**(base._derived if base else {}), **(derivedComponents or {})}
        self.parameters = frozenset(parameters or ()) | (base.parameters if base else frozenset())
        inherited = base.converters if base else {}
        own = converters or {}
        self.converters: Mapping[str, Converter] = MappingProxyType(
            {**own, **{k: v for k, v in inherited.items() if k not in own}}
        )
        self.formatters = tuple(formatters) if formatters else (base.formatters if base else ())
        self._delegate: type | str | None = delegate or (base._delegate if base else None)
        self.description = description or (base.description if base else "")
        self._factory = factory
        self._fits: dict[type, bool] = {}
        clash = self._components.keys() & self._derived.keys()
        if clash:
            raise StorageClassError(
                f"storage class {name!r}: {sorted(clash)} are both components and derived"
            )

    @property
    def pytype(self) -> type:
        """The Python type; imported when first asked for."""
        if self._pytype is None:
            try:
                self._pytype = resolve_type(self.pytype_name)
            except StorageClassError as exc:
                raise StorageClassError(
                    f"storage class {self.name!r}: {exc.message}", hint=exc.hint
                ) from None
        return self._pytype

    def _known(self, part: StorageClass | str) -> StorageClass:
        if isinstance(part, StorageClass):
            return part
        return (self._factory or StorageClassFactory()).getStorageClass(part)

    def validateInstance(self, instance: Any) -> bool:
        """Whether an object is of the Python type.

        Parameters
        ----------
        instance : `object`
            Any object.

        Returns
        -------
        fits : `bool`
            As `isinstance`.
        """
        cls = type(instance)
        known = self._fits.get(cls)
        if known is None:
            if self._pytype is not None:
                known = isinstance(instance, self._pytype)
            else:
                known = instance_of(instance, self.pytype_name)
            if len(self._fits) < 256:
                self._fits[cls] = known
        return known

    def is_type(self, other: type, compare_types: bool = False) -> bool:
        """Whether a type is the Python type of this storage class, or below it.

        Parameters
        ----------
        other : `type`
            The type in question.
        compare_types : `bool`, optional
            Accept subclasses too.

        Returns
        -------
        match : `bool`
            True if it is.
        """
        if type_name(other) == self.pytype_name or other is self._pytype:
            return True
        same_package = other.__module__.partition(".")[0] == self.pytype_name.partition(".")[0]
        if not compare_types and not same_package:
            return False
        return issubclass(other, self.pytype) if compare_types else other is self.pytype

    def can_convert(self, other: StorageClass) -> bool:
        """Whether objects of another storage class can become objects of this one.

        Parameters
        ----------
        other : `StorageClass`
            Where they come from.

        Returns
        -------
        convertible : `bool`
            True if `coerce` would accept them.
        """
        if other.pytype_name == self.pytype_name or other.pytype_name in self.converters:
            return True
        try:
            theirs = other.pytype
            if issubclass(theirs, self.pytype):
                return True
        except StorageClassError:
            return False
        for name in self.converters:
            if any(type_name(base) == name for base in theirs.__mro__):
                return True
            if name.partition(".")[0] == theirs.__module__.partition(".")[0] and issubclass(
                theirs, resolve_type(name)
            ):
                return True
        return False

    def coerce(self, obj: Any) -> Any:
        """Give an object of the Python type, converting where there is a way.

        Parameters
        ----------
        obj : `object`
            An object of the type or of one that has a converter to it.

        Returns
        -------
        obj : `object`
            The same object, or a new one of the type.

        Raises
        ------
        StorageClassError
            Raised if the object is of another type; names both.
        """
        if self.validateInstance(obj):
            return obj
        from lakebutler.datasets.storage_class_convert import convert, extra_hint

        for name, converter in self.converters.items():
            if instance_of(obj, name):
                try:
                    return convert(converter, obj)
                except StorageClassError:
                    raise
                except Exception as exc:
                    raise StorageClassError(
                        f"an object of type {type_name(type(obj))} cannot be turned into {self.pytype_name}, "
                        f"which storage class {self.name!r} holds: {exc}",
                        hint=extra_hint(exc),
                    ) from exc
        raise StorageClassError(
            f"storage class {self.name!r} holds objects of type {self.pytype_name}, "
            f"not {type_name(type(obj))}",
            hint=self._hint(),
        )

    coerce_type = coerce

    def _hint(self) -> str | None:
        if not self.converters:
            return None
        return "it also takes: " + ", ".join(self.converters)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StorageClass):
            return NotImplemented
        return self is other or (
            self.name == other.name
            and self.pytype_name == other.pytype_name
            and _part_names(self._components) == _part_names(other._components)
            and _part_names(self._derived) == _part_names(other._derived)
            and self.parameters == other.parameters
        )

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_unpickle, (self.name, self.pytype_name))

    def __repr__(self) -> str:
        return f"StorageClass({self.name!r}, pytype={self.pytype_name!r})"

    def __str__(self) -> str:
        return self.name


def _part_names(parts: Mapping[str, StorageClass | str]) -> dict[str, str]:
    return {k: v if isinstance(v, str) else v.name for k, v in parts.items()}


def _unpickle(name: str, pytype_name: str) -> StorageClass:
    factory = StorageClassFactory()
    return factory.getStorageClass(name) if name in factory else StorageClass(name, pytype_name)


class StorageClassFactory:
    """The storage classes that are known, by name.

    One table is shared by the whole process, as with the incumbent: every call
    of the constructor gives the same object.

    Parameters
    ----------
    config : mapping or path-like, optional
        More definitions, from the user.
    """

    _shared: ClassVar[StorageClassFactory | None] = None
    _definitions: dict[str, Mapping[str, Any]]
    _made: dict[str, StorageClass]
    _plugins_loaded: bool

    def __new__(cls, config: Mapping[str, Any] | str | None = None) -> Self:
        """Give the shared object; ``config`` is for `__init__`."""
        del config
        shared = cls.__dict__.get("_shared")
        if shared is None:
            shared = super().__new__(cls)
            shared._definitions, shared._made, shared._plugins_loaded = {}, {}, False
            shared.addFromConfig(os.path.join(os.path.dirname(__file__), "storage_classes.yaml"))
            cls._shared = shared
        return shared

    def __init__(self, config: Mapping[str, Any] | str | None = None) -> None:
        if config is not None:
            self.addFromConfig(config)

    def addFromConfig(self, config: Mapping[str, Any] | str) -> None:
        """Add definitions given by the user.

        Parameters
        ----------
        config : mapping or path-like
            ``{name: {pytype:, inheritsFrom:, components:, derivedComponents:,
            parameters:, converters:, formatters:, delegate:}}``, with or without
            ``storageClasses:`` around it, or the path of a YAML file of it.

        Raises
        ------
        StorageClassError
            Raised if a definition is malformed or contradicts one that is known.
        """
        loaded = config if isinstance(config, Mapping) else _load(config)
        definitions = loaded.get("storageClasses", loaded)
        for name, definition in definitions.items():
            self._add(str(name), definition or {})

    def _add(self, name: str, definition: Any) -> None:
        if not isinstance(definition, Mapping):
            raise StorageClassError(f"storage class {name!r}: the definition must be a mapping")
        for field in definition:
            if field not in _FIELDS:
                raise StorageClassError(
                    f"storage class {name!r}: unknown field {field!r}", hint=known_names(str(field), _FIELDS)
                )
        known = self._definitions.get(name)
        if (known is not None and dict(known) != dict(definition)) or (known is None and name in self._made):
            raise StorageClassError(
                f"storage class {name!r} is already defined otherwise", hint="give yours another name"
            )
        self._definitions[name] = definition

    def getStorageClass(self, storageClassName: str) -> StorageClass:
        """Get a storage class by name.

        Parameters
        ----------
        storageClassName : `str`
            Its name.

        Returns
        -------
        storage_class : `StorageClass`
            Always the same object for one name.

        Raises
        ------
        StorageClassError
            Raised if there is none of this name.
        """
        made = self._made.get(storageClassName)
        if made is None:
            definition = self._definitions.get(storageClassName)
            if definition is None and not self._plugins_loaded:
                self._load_plugins()
                return self.getStorageClass(storageClassName)
            if definition is None:
                raise UnknownStorageClassError(
                    f"unknown storage class {storageClassName!r}",
                    hint=known_names(storageClassName, self.keys(), what="storage classes"),
                )
            made = self._made.setdefault(storageClassName, self._make(storageClassName, definition))
        return made

    def _make(self, name: str, definition: Mapping[str, Any], seen: tuple[str, ...] = ()) -> StorageClass:
        fields = dict(definition)
        base_name = fields.pop("inheritsFrom", None)
        base = None
        if base_name is not None:
            if base_name in seen or base_name == name:
                raise StorageClassError(f"storage class {name!r} inherits from itself")
            base = self._made.get(base_name)
            if base is None:
                if base_name not in self._definitions:
                    raise StorageClassError(
                        f"storage class {name!r} inherits from unknown {base_name!r}",
                        hint=known_names(base_name, self._definitions),
                    )
                base = self._make(base_name, self._definitions[base_name], (*seen, name))
        return StorageClass(name, inheritsFrom=base, factory=self, **fields)

    def registerStorageClass(self, storageClass: StorageClass) -> None:
        """Add a storage class made by the running program.

        Parameters
        ----------
        storageClass : `StorageClass`
            The new one.

        Raises
        ------
        StorageClassError
            Raised if another one of this name is known.
        """
        name = storageClass.name
        if name in self and self.getStorageClass(name) != storageClass:
            raise StorageClassError(f"storage class {name!r} is already defined otherwise")
        self._made.setdefault(name, storageClass)

    def findStorageClass(self, pytype: type, compare_types: bool = False) -> StorageClass:
        """Find a storage class that holds a Python type.

        Parameters
        ----------
        pytype : `type`
            The type.
        compare_types : `bool`, optional
            Accept one whose type is a parent class.

        Returns
        -------
        storage_class : `StorageClass`
            The first in order of definition.

        Raises
        ------
        StorageClassError
            Raised if there is none.
        """
        candidates = [self.getStorageClass(name) for name in self.keys()]
        for exact in (True, False):
            for candidate in candidates:
                if candidate.pytype_name == "object":
                    continue
                try:
                    if candidate.is_type(pytype, compare_types=not exact):
                        return candidate
                except StorageClassError:
                    continue
            if not compare_types:
                break
        raise StorageClassError(f"no storage class holds objects of type {type_name(pytype)}")

    def _load_plugins(self) -> None:
        from importlib.metadata import entry_points

        self._plugins_loaded = True
        for entry in entry_points(group=ENTRY_POINT_GROUP):
            try:
                provided = entry.load()
            except Exception as exc:
                raise StorageClassError(
                    f"the plug-in {entry.name!r} ({entry.value}) does not load: {exc}"
                ) from exc
            self.addFromConfig(provided() if callable(provided) else provided)

    def keys(self) -> list[str]:
        """Names of all storage classes.

        Returns
        -------
        names : `list` [`str`]
            In order of definition.
        """
        if not self._plugins_loaded:
            self._load_plugins()
        return list(dict.fromkeys([*self._definitions, *self._made]))

    def __contains__(self, name: object) -> bool:
        if name in self._made or name in self._definitions:
            return True
        return name in self.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __repr__(self) -> str:
        return f"StorageClassFactory({len(self._definitions)} definitions)"


def _load(path: str) -> Mapping[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with open(path, "rb") as stream:
        return yaml.load(stream, Loader=loader) or {}  # noqa: S506 - a safe loader
