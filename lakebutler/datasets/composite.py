# SPDX-License-Identifier: BSD-3-Clause
"""What a storage class consists of: components, parameters, and who takes it apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self

from lakebutler.datasets.storage_class_types import resolve_type
from lakebutler.errors import StorageClassError, known_names

__all__ = ["Composite"]


class Composite:
    """The part of a `StorageClass` that is about components and parameters."""

    name: str
    parameters: frozenset[str]
    _components: dict[str, Self | str]
    _derived: dict[str, Self | str]
    _delegate: type | str | None

    @cached_property
    def components(self) -> Mapping[str, Self]:
        """Parts that can be read alone."""
        return self._resolve(self._components)

    @cached_property
    def derivedComponents(self) -> Mapping[str, Self]:
        """What is computed from the whole on reading."""
        return self._resolve(self._derived)

    def _resolve(self, parts: Mapping[str, Self | str]) -> Mapping[str, Self]:
        return MappingProxyType({name: self._known(part) for name, part in parts.items()})

    def _known(self, part: Self | str) -> Self:
        """Look a storage class up, where it is given by name."""
        raise NotImplementedError

    def allComponents(self) -> Mapping[str, Self]:
        """All components, derived ones too.

        Returns
        -------
        components : mapping [`str`, `StorageClass`]
            By name.
        """
        return MappingProxyType({**self.components, **self.derivedComponents})

    def component(self, name: str) -> Self:
        """Storage class of one component.

        Parameters
        ----------
        name : `str`
            Name of the component.

        Returns
        -------
        storage_class : `StorageClass`
            What the component is.

        Raises
        ------
        StorageClassError
            Raised if there is none of this name.
        """
        part = self._components.get(name) or self._derived.get(name)
        if part is None:
            raise StorageClassError(
                f"storage class {self.name!r} has no component {name!r}",
                hint=known_names(name, [*self._components, *self._derived], what="components"),
            )
        return self._known(part)

    def isComposite(self) -> bool:
        """Whether it has components (derived ones do not count).

        Returns
        -------
        composite : `bool`
            True if it has.
        """
        return bool(self._components)

    def knownParameters(self) -> set[str]:
        """Names of the parameters that reading understands.

        Returns
        -------
        names : `set` [`str`]
            A copy.
        """
        return set(self.parameters)

    def validateParameters(self, parameters: Iterable[str] | None = None) -> None:
        """Check names of parameters.

        Parameters
        ----------
        parameters : iterable of `str`, optional
            Names to check.

        Raises
        ------
        StorageClassError
            Raised if one is not known.
        """
        for name in parameters or ():
            if name not in self.parameters:
                raise StorageClassError(
                    f"storage class {self.name!r} has no parameter {name!r}",
                    hint=known_names(name, self.parameters, what="parameters"),
                )

    def filterParameters(
        self, parameters: Mapping[str, Any] | None, subset: Iterable[str] | None = None
    ) -> dict[str, Any]:
        """Choose the parameters that this storage class knows.

        Parameters
        ----------
        parameters : mapping or `None`
            Parameters of a read.
        subset : iterable of `str`, optional
            Choose only among these.

        Returns
        -------
        chosen : `dict` [`str`, `object`]
            Those of them that are known.

        Raises
        ------
        StorageClassError
            Raised if the subset has a name that is not known.
        """
        chosen = self.parameters if subset is None else frozenset(subset)
        self.validateParameters(chosen)
        return {name: value for name, value in (parameters or {}).items() if name in chosen}

    @property
    def pytype(self) -> type:
        """The Python type."""
        raise NotImplementedError

    def validateInstance(self, instance: Any) -> bool:
        """Whether an object is of the Python type."""
        raise NotImplementedError

    @property
    def delegateClass(self) -> type[Any] | None:
        """The `StorageClassDelegate`, imported when first asked for; `None` if there is none."""
        if isinstance(self._delegate, str):
            self._delegate = resolve_type(self._delegate)
        if self._delegate is not None and not hasattr(self._delegate, "storedComponents"):
            raise StorageClassError(
                f"storage class {self.name!r}: {self._delegate.__name__} is no StorageClassDelegate"
            )
        return self._delegate

    def delegate(self) -> Any:
        """Make what takes objects of this storage class apart.

        Returns
        -------
        delegate : `StorageClassDelegate`
            A new one.

        Raises
        ------
        StorageClassError
            Raised if the storage class has none; it is a `TypeError`.
        """
        found = self.delegateClass
        if found is None:
            raise StorageClassError(
                f"storage class {self.name!r} has no delegate",
                hint="name one: delegate: my.module.MyDelegate in its definition",
            )
        return found(self)

    @property
    def has_delegate(self) -> bool:
        """Whether a delegate is named; nothing is imported."""
        return self._delegate is not None
