# SPDX-License-Identifier: BSD-3-Clause
"""Patches of old data IDs, ``x,y``, as the numbers that they have in a skymap.

A skymap is one that the user names, or the one that a repository tells by its own files;
what is not registered yet comes with the conversion.  A small file that says how many
patches the tracts have will do, too; then there are no regions.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakebutler.errors import ButlerError, ConflictingDefinitionError, RepositoryFormatError, known_names
from lakebutler.gen2.safe_yaml import load_yaml
from lakebutler.gen2.skymap_files import read_skymap
from lakebutler.instruments.skymaps.definition import SkyMapDefinition, load_skymap, skymap_names

if TYPE_CHECKING:
    from lakebutler.butler.butler import Butler

__all__ = ["PatchGrid", "SkyMaps"]

_FILES = (".yaml", ".yml", ".json", ".py", ".pickle", ".pkl")
_DEFAULT_NAME = "deepCoadd_skyMap"
"""What a skymap is called that nobody names: as the old dataset type."""


@dataclass(frozen=True)
class PatchGrid:
    """Which patches the tracts of a skymap have.

    Attributes
    ----------
    name : `str`
        Name of the skymap.
    shapes : mapping
        Number of patches along x and y, by tract.
    default : `tuple` [`int`] or `None`
        That of all other tracts; `None` if there are no others.
    registered : `bool`
        Whether the new repository has its records.
    definition : `SkyMapDefinition` or `None`
        Its parameters, where they are known.
    renumbered : `frozenset` [`int`]
        Tracts that had another number in the old repository.
    """

    name: str
    shapes: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    default: tuple[int, int] | None = None
    registered: bool = False
    definition: SkyMapDefinition | None = None
    renumbered: frozenset[int] = frozenset()

    def refusal(self, tract: int) -> str:
        """Say why a tract cannot be used; empty if it can."""
        if tract in self.renumbered:
            return f"tract {tract} has another number here than in skymaps of version 0"
        if tract in self.shapes or (self.default is not None and tract >= 0):
            return ""
        return f"the skymap {self.name!r} has no tract {tract}"

    def patch(self, tract: int, x: int, y: int) -> int | None:
        """Number a patch: row by row.

        Parameters
        ----------
        tract : `int`
            Its tract.
        x, y : `int`
            Column and row in the tract.

        Returns
        -------
        patch : `int` or `None`
            ``nx * y + x``; `None` if the tract has no such patch.
        """
        shape = self.shapes.get(tract, self.default)
        if shape is None or not (0 <= x < shape[0] and 0 <= y < shape[1]):
            return None
        return shape[0] * y + x

    def records(self, tracts: Iterable[int]) -> dict[str, list[dict[str, Any]]]:
        """Make the records of some tracts; without regions, which need the projection.

        Parameters
        ----------
        tracts : iterable of `int`
            The tracts.

        Returns
        -------
        records : `dict`
            Values by element; none if they are registered, or come with the definition.
        """
        if self.registered or self.definition is not None:
            return {}
        none = self.default or (0, 0)
        shapes = {tract: self.shapes.get(tract, none) for tract in sorted(set(tracts))}
        told = {"name": self.name, "shapes": sorted(self.shapes.items()), "default": self.default}
        every = [*self.shapes.values(), *([self.default] if self.default else [])]
        skymap = {
            "name": self.name,
            "hash": hashlib.sha1(json.dumps(told).encode(), usedforsecurity=False).digest(),
            "tract_max": max([*self.shapes, *shapes], default=0) + 1,
            "patch_nx_max": max((nx for nx, _ in every), default=0),
            "patch_ny_max": max((ny for _, ny in every), default=0),
        }
        patches = [
            {"skymap": self.name, "tract": tract, "id": nx * y + x, "cell_x": x, "cell_y": y}
            for tract, (nx, ny) in shapes.items()
            for y in range(ny)
            for x in range(nx)
        ]
        return {
            "skymap": [skymap],
            "tract": [{"skymap": self.name, "id": tract} for tract in shapes],
            "patch": patches,
        }


class SkyMaps:
    """The skymaps of a conversion.

    Parameters
    ----------
    given : `str` or `None`
        What the user says: a name, a file, or ``NAME=FILE``.
    butler : `Butler` or `None`
        The new repository, if it is there.

    Attributes
    ----------
    notes : `list` [`str`]
        What a person should know.

    Raises
    ------
    RepositoryFormatError
        Raised if there is no such skymap, or the file is wrong.
    ConflictingDefinitionError
        Raised if the name is that of another one that is registered.
    """

    def __init__(self, given: str | None, butler: Butler | None) -> None:
        self.butler = butler
        self.notes: list[str] = []
        known = [] if butler is None else butler.query_dimension_records("skymap", explain=False, limit=None)
        rows = [record.toDict() for record in known]
        self.registered: dict[str, bytes] = {str(row["name"]): bytes(row["hash"]) for row in rows}
        self._made: dict[tuple[str, bytes, bool], PatchGrid] = {}
        self._label: str | None = None
        self._unread: list[str] = []
        self._chosen = None if given is None else self._choose(given)

    # ----------------------------------------------------------------- the user

    def _choose(self, given: str) -> PatchGrid | None:
        if given in self.registered:
            return self._of_registered(given)
        if given in skymap_names():
            return self._of_source(given, given)
        name, equals, source = given.partition("=")
        if equals and not os.path.exists(given):
            if not name or not source:
                raise RepositoryFormatError(
                    f"{given!r} names no skymap",
                    hint="--skymap NAME=DEFINITION, which is a known name or a file",
                )
            return self._of_source(source, name)
        if given.endswith(_FILES) or os.path.exists(given):
            return self._of_source(given, None)
        self._label = given
        return None

    def _of_source(self, source: str, name: str | None) -> PatchGrid:
        """Make the grid of what the user points to."""
        if source in skymap_names():
            _, facts = load_skymap(source)
            return self._defined(name or source, SkyMapDefinition.from_facts(facts, source))
        if not source.endswith(_FILES):
            raise RepositoryFormatError(f"there is no skymap {source!r}", hint=self._choices(source))
        version = None
        if source.endswith((".yaml", ".yml", ".json")):
            data = load_yaml(source)
            if not isinstance(data, dict) or "kind" not in data:
                return _of_shapes(data, source)
            facts = {key: value for key, value in data.items() if key != "name"}
            name = name or (str(data["name"]) if data.get("name") else None)
        else:
            facts, version = read_skymap(source)
        if name is None:
            raise RepositoryFormatError(f"{source} does not name its skymap", hint=f"--skymap NAME={source}")
        definition = SkyMapDefinition.from_facts(facts, source)
        return self._defined(name, definition, old=version == 0)

    def _of_registered(self, name: str) -> PatchGrid:
        from lakebutler.instruments.skymaps.register import registered_skymap

        assert self.butler is not None
        try:
            definition = registered_skymap(self.butler, name).definition
        except ButlerError:  # of shapes alone, or by other tools: its records tell
            return _of_records(self.butler, name)
        return self._defined(name, definition)

    # ----------------------------------------------------------- the repository

    def of_files(self, paths: Iterable[str]) -> PatchGrid | None:
        """Find the skymap that files of a repository tell.

        Parameters
        ----------
        paths : iterable of `str`
            Pickles and configurations; the first that tells one counts.

        Returns
        -------
        grid : `PatchGrid` or `None`
            Where they tell none, what the user chose; `None` if there is no such thing either.
        """
        for path in paths:
            try:
                facts, version = read_skymap(path)
                definition = SkyMapDefinition.from_facts(facts, path)
            except ButlerError as error:
                self._unread.append(error.message)
                continue
            mine = self._chosen.definition if self._chosen is not None else None
            if mine is not None and mine.sha1 == definition.sha1:
                break
            if self._chosen is not None:
                self.notes.append(f"{path} tells another skymap than {self._chosen.name}, and is followed")
            return self._defined(self._name(definition, path), definition, old=version == 0)
        return self._chosen

    def _name(self, definition: SkyMapDefinition, path: str) -> str:
        """Name what a file tells: as the user says, as it is known or registered, else by its old type."""
        digest = definition.sha1
        if self._label is not None:
            others = {held for _, held, _ in self._made} - {digest}
            if others:
                raise RepositoryFormatError(
                    f"there are several skymaps, and {self._label!r} can name one only",
                    hint="without --skymap each gets a name of its own",
                )
            return self._label
        held = {found: name for name, found in self.registered.items()}
        if digest in held:
            return held[digest]
        for name in skymap_names():
            if SkyMapDefinition.from_facts(load_skymap(name)[1], name).sha1 == digest:
                return name
        taken = {name: found for name, found, _ in self._made} | self.registered
        name = _DEFAULT_NAME
        if taken.get(name, digest) != digest:
            name = f"{name}_{digest.hex()[:8]}"
        self.notes.append(f"the skymap of {path} is called {name}; --skymap NAME calls it otherwise")
        return name

    def unknown(self, root: str, dataset_type: str) -> RepositoryFormatError:
        """Make the error of files of tracts that no skymap is known for."""
        if self._label is not None:
            return RepositoryFormatError(
                f"there is no skymap {self._label!r}, and no file of {root} tells one to be called so",
                hint=self._choices(self._label),
            )
        why = f" ({'; '.join(dict.fromkeys(self._unread))})" if self._unread else ""
        return RepositoryFormatError(
            f"{root} has files of {dataset_type}, which are of tracts, and no skymap is told{why}",
            hint=self._choices("") + "; or --without leaves types out",
        )

    def _choices(self, name: str) -> str:
        names = [*self.registered, *(n for n in skymap_names() if n not in self.registered)]
        known = known_names(name, names, what="skymaps")
        return f"--skymap NAME, --skymap NAME=FILE or --skymap FILE.yaml; {known}"

    # -------------------------------------------------------------------- grids

    def _defined(self, name: str, definition: SkyMapDefinition, *, old: bool = False) -> PatchGrid:
        digest = definition.sha1
        key = (name, digest, old)
        if key in self._made:
            return self._made[key]
        if self.registered.get(name, digest) != digest:
            raise ConflictingDefinitionError(
                f"the new repository has another skymap {name!r}",
                hint="--skymap NAME=FILE gives another name",
            )
        holder = next((n for n, found in self.registered.items() if found == digest), name)
        if holder != name:
            raise ConflictingDefinitionError(
                f"the new repository has this skymap as {holder!r}", hint=f"--skymap {holder}"
            )
        grid = _of_definition(name, definition, registered=name in self.registered, old=old)
        if grid.renumbered:
            self.notes.append(
                f"the skymap {name} was numbered by version 0: the first tract of each ring is another here"
            )
        self._made[key] = grid
        return grid


def _of_definition(name: str, definition: SkyMapDefinition, *, registered: bool, old: bool) -> PatchGrid:
    from lakebutler.instruments.skymaps.layout import ring_sizes
    from lakebutler.instruments.skymaps.skymap import SkyMap

    places = SkyMap(definition).places
    by_box = [box.patches for box in places.boxes]
    shapes = {tract: by_box[which] for tract, which in enumerate(places.box_of.tolist())}
    renumbered: set[int] = set()
    if old and definition.kind == "rings":
        at = 1
        for size in ring_sizes(definition.own["numRings"])[:-1]:
            at += int(size)
            renumbered.add(at)
    return PatchGrid(name, shapes, None, registered, definition, frozenset(renumbered))


def _of_records(butler: Butler, name: str) -> PatchGrid:
    shapes: dict[int, tuple[int, int]] = {}
    for record in butler.query_dimension_records("patch", skymap=name, explain=False, limit=None):
        row = record.toDict()
        nx, ny = shapes.get(row["tract"], (0, 0))
        shapes[row["tract"]] = max(nx, row["cell_x"] + 1), max(ny, row["cell_y"] + 1)
    return PatchGrid(name, shapes, registered=True)


def _of_shapes(data: Any, path: str) -> PatchGrid:
    """Make the grid of a file that says how many patches there are."""
    try:
        name, patches = str(data["name"]), dict(data["patches"])
        sizes = {tract: (int(nx), int(ny)) for tract, (nx, ny) in patches.items()}
        shapes = {int(tract): size for tract, size in sizes.items() if tract != "default"}
        return PatchGrid(name, shapes, sizes.get("default"))
    except (KeyError, TypeError, ValueError):
        raise RepositoryFormatError(
            f"{path} describes no skymap",
            hint="kind: rings and more; or name: NAME, and patches: {default: [NX, NY], TRACT: [NX, NY]}",
        ) from None
