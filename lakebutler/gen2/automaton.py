# SPDX-License-Identifier: BSD-3-Clause
"""Templates as a tree of directories: which of them can hold a file, and what a file is.

A directory that was entered is in one or more states: a node of the tree with the values
that the path has told so far.  A name below is looked up among the constant elements, then
matched against the variable ones; where no state is left, the directory is never opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import NamedTuple

from lakebutler.gen2.template import SEPARATOR, Template, element_regex

__all__ = ["Alternative", "Node", "State", "build_tree"]


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile an expression when it is first needed: of hundreds in a layout few ever are."""
    return re.compile(pattern)


@dataclass(frozen=True, eq=False)
class Alternative:
    """One template among those that a name is matched against."""

    template: Template
    first: int
    """Where its own values begin among the groups of the match."""
    last: int
    """Where they end."""

    head: str
    """What its names begin with."""

    lines: str | None
    """Expression for lines of names of this template; `None` where another one may come first."""

    @cached_property
    def many(self) -> re.Pattern[str] | None:
        """The expression for lines, compiled."""
        return None if self.lines is None else _compiled(self.lines)


@dataclass(frozen=True, eq=False)
class Variable:
    """A directory whose name tells something."""

    pattern: str
    """Expression for its name, after the values that it has to repeat."""

    keys: tuple[str, ...]
    """What it tells."""

    node: Node

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """The expression, compiled."""
        return _compiled(self.pattern)


@dataclass(eq=False)
class Node:
    """A directory in the tree of templates.

    Attributes
    ----------
    known : `tuple` [`str`]
        Keys that the path down to here tells.
    constants : `dict` [`str`, `Node`]
        Directories with a fixed name.
    variables : `list` [`Variable`]
        The others.
    exact : `dict` [`str`, `Template`]
        Files with a fixed name.
    pattern : `str` or `None`
        Expression for all other files.
    alternatives : `dict` [`int`, `Alternative`]
        What matched, by the number of the group.
    used : `tuple` [`int`]
        Which of the known values names below have to repeat.
    wanted : `bool`
        Whether a type that is wanted stands here or below.
    """

    known: tuple[str, ...] = ()
    constants: dict[str, Node] = field(default_factory=dict)
    variables: list[Variable] = field(default_factory=list)
    exact: dict[str, Template] = field(default_factory=dict)
    pattern: str | None = None
    alternatives: dict[int, Alternative] = field(default_factory=dict)
    used: tuple[int, ...] = ()
    wanted: bool = False

    @cached_property
    def files(self) -> re.Pattern[str] | None:
        """The expression for files, compiled."""
        return None if self.pattern is None else _compiled(self.pattern)

    def prefix(self, values: Sequence[str]) -> str:
        """Write the values that names have to repeat, as the expressions want them."""
        return "".join(values[i] + SEPARATOR for i in self.used)


class State(NamedTuple):
    """Where in the tree a directory is."""

    node: Node
    values: tuple[str, ...]
    prefix: str

    def below(self, name: str, *, all_types: bool = False) -> Iterable[State]:
        """States of a directory in this one; constant elements come first.

        Parameters
        ----------
        name : `str`
            Name of the directory.
        all_types : `bool`, optional
            Whether types count that are not wanted.

        Yields
        ------
        state : `State`
            None, if nothing that counts can stand there.
        """
        node = self.node
        child = node.constants.get(name)
        if child is not None and (child.wanted or all_types):
            yield State(child, self.values, child.prefix(self.values))
        for one in node.variables:
            child = one.node
            if child.wanted or all_types:
                found = one.regex.fullmatch(self.prefix + name)
                if found is not None:
                    values = self.values + found.groups()[len(node.used) :] if one.keys else self.values
                    yield State(child, values, child.prefix(values))


class _Draft:
    """A node while the tree grows."""

    def __init__(self, known: tuple[str, ...]) -> None:
        self.known = known
        self.below: dict[str, _Draft] = {}
        self.files: list[Template] = []
        self.exact: dict[str, Template] = {}


def build_tree(
    templates: Iterable[Template],
    patterns: Mapping[str, str],
    wanted: Mapping[str, bool],
    exact: Mapping[str, Template] | None = None,
) -> Node:
    """Build the tree.

    Parameters
    ----------
    templates : iterable of `Template`
        Templates, one for each path; those that catch everything are left out.
    patterns : mapping
        How the values of some keys look.
    wanted : mapping
        By dataset type, whether directories are opened for it.
    exact : mapping, optional
        Files by path, each with the template of its type.

    Returns
    -------
    root : `Node`
        The root directory.
    """
    top = _Draft(())
    for template in templates:
        if template.catches_all:
            continue
        at = top
        for element in template.elements[:-1]:
            _, keys = element_regex(element, set(at.known), patterns, is_file=False)
            at = at.below.setdefault(element, _Draft(at.known + keys))
        at.files.append(template)
    for path, template in (exact or {}).items():
        at = top
        *directories, name = path.split("/")
        for part in directories:
            at = at.below.setdefault(part.replace("%", "%%"), _Draft(at.known))
        at.exact[name] = template
    return _compile(top, patterns, wanted)


def _compile(draft: _Draft, patterns: Mapping[str, str], wanted: Mapping[str, bool]) -> Node:
    node = Node(draft.known, exact=draft.exact)
    known = set(draft.known)
    elements = [*(t.elements[-1] for t in draft.files), *draft.below]
    node.used = tuple(i for i, key in enumerate(draft.known) if any(f"%({key})" in e for e in elements))
    prefix = "".join(f"(?P<{draft.known[i]}>[^{SEPARATOR}]*){SEPARATOR}" for i in node.used)
    variables = []
    for element, child_draft in draft.below.items():
        child = _compile(child_draft, patterns, wanted)
        if "%(" not in element:
            node.constants[element.replace("%%", "%")] = child
            continue
        regex, keys = element_regex(element, known, patterns, is_file=False)
        variables.append((len(keys), -len(regex), Variable(prefix + regex, keys, child)))
    variables.sort(key=lambda v: v[:2])
    node.variables = [variable for *_, variable in variables]
    _compile_files(node, draft, prefix, patterns)
    children = [*node.constants.values(), *(variable.node for variable in node.variables)]
    here = [*draft.files, *draft.exact.values()]
    node.wanted = any(wanted[t.dataset_type] for t in here) or any(c.wanted for c in children)
    return node


def _compile_files(node: Node, draft: _Draft, prefix: str, patterns: Mapping[str, str]) -> None:
    """Join the expressions of all files here into one; the most specific comes first."""
    if not draft.files:
        return
    known = set(draft.known)
    parts, at = [], len(node.used)
    before: list[str] = []
    for i, template in enumerate(sorted(draft.files, key=_vagueness)):
        regex, keys = element_regex(template.elements[-1], known, patterns, is_file=True, tag=f"a{i}_")
        parts.append(f"({regex})")
        at += 1
        lines = None
        head = template.elements[-1].partition("%")[0]
        if head and all(_apart(template.elements[-1], other) for other in before):
            single, _ = element_regex(template.elements[-1], known, patterns, is_file=True)
            lines = f"(?m)^{prefix}{single}$"
        before.append(template.elements[-1])
        node.alternatives[at] = Alternative(template, at, at + len(keys), head, lines)
        at += len(keys)
    node.pattern = f"{prefix}(?:{'|'.join(parts)})"


def _apart(one: str, other: str) -> bool:
    """Whether no name can fit both elements, since they begin or end otherwise."""
    (head, tail), (other_head, other_tail) = _ends(one), _ends(other)
    begins = head.startswith(other_head) or other_head.startswith(head)
    return not begins or not (tail.endswith(other_tail) or other_tail.endswith(tail))


def _ends(element: str) -> tuple[str, str]:
    """What an element begins and ends with, whatever the values are; packed or not."""
    if "%" not in element:
        return element, element
    tail = re.split(r"%\(\w+\)[^a-zA-Z]*[a-zA-Z]|%%", element)[-1]
    return element.partition("%")[0], re.sub(r"\.(gz|fz)$", "", tail)


def _vagueness(template: Template) -> tuple[int, int, str]:
    element = template.elements[-1]
    literal = len(re.sub(r"%\(\w+\)[^a-zA-Z]*[a-zA-Z]", "", element))
    return -literal, element.count("%("), template.dataset_type
