# SPDX-License-Identifier: BSD-3-Clause
"""Configuration files of old repositories, read as plain values; nothing in them is run.

Their writers let Python objects into the YAML: ``!RepositoryCfg_v1``, the class of a
mapper as ``!!python/name:...``, policies as ``!!python/object:...``.  Here a name stays a
text, an object the mapping of its attributes; whatever else a tag asks for is refused.
"""

from __future__ import annotations

import os
from typing import Any

from lakebutler.errors import RepositoryFormatError
from lakebutler.gen2.reading import read_small

__all__ = ["load_yaml"]

_LARGEST = 4 << 20
_PYTHON = "tag:yaml.org,2002:python/"
_NODES = 200_000


def load_yaml(path: str | os.PathLike[str]) -> Any:
    """Read a YAML file of a stranger.

    Parameters
    ----------
    path : `str` or path-like
        The file.

    Returns
    -------
    value : object
        Mappings, lists, texts, numbers.

    Raises
    ------
    RepositoryFormatError
        Raised if it cannot be read, is no YAML, is too large, or has a tag that asks for
        more than a value.
    """
    import yaml

    loader = _loader()(read_small(path, _LARGEST, "configuration"))
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _count(node, _NODES) <= 0:
            raise RepositoryFormatError(f"{path} unfolds to more than {_NODES} values")
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        what = " ".join(str(error).split())
        raise RepositoryFormatError(
            f"{path} cannot be read: {what}", hint="nothing in it was run; correct or remove the file"
        ) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise RepositoryFormatError(f"{path} cannot be read: {type(error).__name__}") from None
    finally:
        loader.dispose()


def _count(node: Any, left: int) -> int:
    """How many values may still come after those of a node, with aliases unfolded."""
    waiting = [node]
    while waiting and left > 0:
        value = waiting.pop().value
        left -= 1
        if isinstance(value, list):
            for item in value:
                waiting.extend(item if isinstance(item, tuple) else (item,))
    return left


def _loader() -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Takes the tags of old configurations for values."""

    def name(_: Any, suffix: str, node: Any) -> Any:
        return suffix or (node.value if isinstance(node, yaml.ScalarNode) else "")

    def plain(loader: Any, node: Any) -> Any:
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_scalar(node)

    def attributes(loader: Any, suffix: str, node: Any) -> Any:
        if not isinstance(node, yaml.MappingNode):
            raise yaml.constructor.ConstructorError(
                None, None, f"the tag !!python/object:{suffix} is not supported here", node.start_mark
            )
        return loader.construct_mapping(node, deep=True)

    Loader.add_constructor("!RepositoryCfg_v1", plain)
    Loader.add_constructor("!PolicyCfg", plain)
    Loader.add_multi_constructor(_PYTHON + "name:", name)
    Loader.add_multi_constructor(_PYTHON + "object:", attributes)
    for kind in ("unicode", "str", "tuple", "list", "dict", "int", "float", "bool", "none"):
        Loader.add_constructor(_PYTHON + kind, plain)
    return Loader
