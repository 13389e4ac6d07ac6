# SPDX-License-Identifier: BSD-3-Clause
"""Composites taken apart and put together again.

A storage class with components may name a delegate.  With one its datasets can be
written in parts, a file for each component, where the repository's configuration
says so (``datastore: composites:``).  Like Python types, delegates come from this
package, from installed packages and from the running program; never from a
repository.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebutler.errors import StorageClassError

if TYPE_CHECKING:
    from lakebutler.datasets.composite import Composite

__all__ = ["DatasetComponent", "StorageClassDelegate"]


@dataclass
class DatasetComponent:
    """One part of a composite.

    Attributes
    ----------
    name : `str`
        Name of the component.
    storageClass : `StorageClass`
        What it is.
    component : `object`
        The part itself.
    """

    name: str
    storageClass: Composite
    component: Any


class StorageClassDelegate:
    """Takes objects of a storage class apart, and puts them together.

    Parameters
    ----------
    storageClass : `StorageClass`
        The storage class.

    Notes
    -----
    The methods here find components by item, attribute or getter, and assemble with the
    constructor or with setters.  A subclass changes what is otherwise with its type; it
    has no state.
    """

    def __init__(self, storageClass: Composite) -> None:
        self.storageClass = storageClass

    def can_accept(self, inMemoryDataset: Any) -> bool:
        """Whether an object can be taken apart as it is, whatever its type.

        Parameters
        ----------
        inMemoryDataset : `object`
            What is to be stored.

        Returns
        -------
        accepted : `bool`
            False here: it is turned into the storage class's type first.
        """
        return False

    def add_provenance(self, inMemoryDataset: Any, ref: Any, provenance: Any = None) -> Any:
        """Put provenance into an object before it is taken apart.

        Parameters
        ----------
        inMemoryDataset : `object`
            What is to be stored.
        ref : `DatasetRef`
            The dataset.
        provenance : `DatasetProvenance`, optional
            Where it comes from; the files of the components get it anyway, where
            their formats can hold it.

        Returns
        -------
        inMemoryDataset : `object`
            The object itself here.
        """
        return inMemoryDataset

    def getComponent(self, composite: Any, componentName: str) -> Any:
        """Take a component out of a composite, derived ones too.

        Parameters
        ----------
        composite : `object`
            The whole.
        componentName : `str`
            Name of the component: an item, an attribute, or what follows ``get`` in the
            name of a method.

        Returns
        -------
        component : `object`
            The part; `None` if the whole has none.

        Raises
        ------
        AttributeError
            Raised if nothing is found under this name.
        """
        if isinstance(composite, Mapping) and componentName in composite:
            return composite[componentName]
        for name in _attributes(componentName, "get"):
            if hasattr(composite, name):
                found = getattr(composite, name)
                return found if name == componentName else found()
        raise AttributeError(f"an object of type {type(composite).__name__} has no {componentName!r}")

    def storedComponents(self) -> tuple[str, ...]:
        """Say which components get files of their own.

        Returns
        -------
        names : `tuple` [`str`]
            All but the derived ones; fewer where some are other names of the same.
        """
        return tuple(self.storageClass.components)

    def disassemble(
        self, composite: Any, subset: Iterable[str] | None = None, override: Any | None = None
    ) -> dict[str, DatasetComponent]:
        """Take a composite apart.

        Parameters
        ----------
        composite : `object`
            The whole, of the storage class's type.
        subset : iterable of `str`, optional
            Names of the components that are wanted; those that are stored by default.
        override : `object`, optional
            What to take the parts from instead.

        Returns
        -------
        components : `dict` [`str`, `DatasetComponent`]
            The parts by name; those that are `None` are left out.

        Raises
        ------
        StorageClassError
            Raised if the object is of another type, or a component is not to be found;
            it is a `TypeError`.
        """
        known = self.storageClass.components
        if not known or not self.storageClass.validateInstance(composite):
            raise StorageClassError(
                f"an object of type {type(composite).__name__} cannot be taken apart as storage class "
                f"{self.storageClass.name!r}"
            )
        names = self.storedComponents() if subset is None else list(subset)
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise StorageClassError(
                f"storage class {self.storageClass.name!r} has no component {unknown[0]!r}"
            )
        whole = composite if override is None else override
        found = {}
        for name in names:
            try:
                part = self.getComponent(whole, name)
            except AttributeError as exc:
                raise StorageClassError(
                    f"cannot take component {name!r} out of storage class {self.storageClass.name!r}: {exc}",
                    hint="its delegate can say how: StorageClassDelegate.getComponent",
                ) from None
            if part is not None:
                found[name] = DatasetComponent(name, known[name], part)
        return found

    def assemble(self, components: Mapping[str, Any], pytype: type | None = None) -> Any:
        """Put components together.

        Parameters
        ----------
        components : mapping
            Parts by name; some may be missing.
        pytype : `type`, optional
            Type to make; that of the storage class by default.

        Returns
        -------
        composite : `object`
            The whole.

        Raises
        ------
        StorageClassError
            Raised if a component is unknown or does not fit; it is a `TypeError`.
        """
        cls = pytype if pytype is not None else self.storageClass.pytype
        unknown = sorted(set(components) - set(self.storageClass.components))
        if unknown:
            raise StorageClassError(
                f"storage class {self.storageClass.name!r} has no component {unknown[0]!r}"
            )
        if issubclass(cls, dict):
            return cls(components)
        try:
            return cls(**components)
        except TypeError as exc:
            try:
                made = cls()
            except TypeError:
                raise StorageClassError(
                    f"cannot put {', '.join(components)} together as {cls.__name__}: {exc}",
                    hint="its delegate can say how: StorageClassDelegate.assemble",
                ) from None
        for name, part in components.items():
            self._set(made, name, part)
        return made

    def _set(self, made: Any, name: str, part: Any) -> None:
        for attribute in _attributes(name, "set"):
            if hasattr(made, attribute):
                if attribute == name:
                    setattr(made, name, part)
                else:
                    getattr(made, attribute)(part)
                return
        raise StorageClassError(f"an object of type {type(made).__name__} has no place for {name!r}")

    def handleParameters(self, inMemoryDataset: Any, parameters: Mapping[str, Any] | None = None) -> Any:
        """Apply the parameters of a read that no formatter of the files knew.

        Parameters
        ----------
        inMemoryDataset : `object`
            What was read.
        parameters : mapping, optional
            What is left of the parameters.

        Returns
        -------
        inMemoryDataset : `object`
            The same object, or another one; here the parameters must be none.

        Raises
        ------
        StorageClassError
            Raised if a parameter cannot be applied.
        """
        for name in parameters or ():
            raise StorageClassError(
                f"nothing applies the parameter {name!r} to storage class {self.storageClass.name!r}",
                hint="its delegate can: StorageClassDelegate.handleParameters",
            )
        return inMemoryDataset

    def handleComponentParameters(
        self, componentName: str, component: Any, parameters: Mapping[str, Any]
    ) -> Any:
        """Apply parameters of the composite to a component that was read alone, from its own file.

        Parameters
        ----------
        componentName : `str`
            Name of the component.
        component : `object`
            What was read.
        parameters : mapping
            The parameters that its formatter did not know.

        Returns
        -------
        component : `object`
            The part of it that is wanted.  Here a composite is made of the component
            alone, and `handleParameters` applied to that.
        """
        whole = self.handleParameters(self.assemble({componentName: component}), parameters)
        return self.getComponent(whole, componentName)

    @classmethod
    def selectResponsibleComponent(cls, derivedComponent: str, fromComponents: Collection[str | None]) -> str:
        """Say which component a derived one is computed from, so that only its file is read.

        Parameters
        ----------
        derivedComponent : `str`
            What is wanted.
        fromComponents : collection of `str`
            Components that there are.

        Returns
        -------
        component : `str`
            One of them.

        Raises
        ------
        NotImplementedError
            Raised here: the whole composite is read then.
        ValueError
            Raised if none of them will do.
        """
        raise NotImplementedError(f"the delegate does not say what {derivedComponent!r} is computed from")

    def deriveComponent(self, derivedComponent: str, componentName: str, component: Any) -> Any:
        """Compute a derived component from the one that `selectResponsibleComponent` named.

        Parameters
        ----------
        derivedComponent : `str`
            What is wanted.
        componentName : `str`
            Name of the component that was read.
        component : `object`
            The component.

        Returns
        -------
        derived : `object`
            What `getComponent` gives of a composite that has this component alone.
        """
        return self.getComponent(self.assemble({componentName: component}), derivedComponent)

    def copy(self, inMemoryDataset: Any) -> Any:
        """Copy an object of the storage class.

        Parameters
        ----------
        inMemoryDataset : `object`
            The object.

        Returns
        -------
        copied : `object`
            A deep copy.
        """
        return copy.deepcopy(inMemoryDataset)


def _attributes(component: str, verb: str) -> tuple[str, str, str]:
    """Names under which a component may be found: itself, ``get_x``, ``getX``."""
    return component, f"{verb}_{component}", f"{verb}{component[:1].upper()}{component[1:]}"
