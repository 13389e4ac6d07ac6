# SPDX-License-Identifier: BSD-3-Clause
"""A repository in one file as the tests of repositories see it: from outside, with tar."""

from __future__ import annotations

import hashlib
import os
import tarfile

from tests.butler.world import Place


class LakeFile(Place):
    """A lake file."""

    @property
    def remote(self) -> bool:
        return True  # there are no files to look at one by one

    def _remote_tree(self) -> dict[str, str]:
        if not os.path.exists(self.url):
            return {}
        return {path: hashlib.sha256(data).hexdigest() for path, data in members(self.url).items()}


def members(path: str) -> dict[str, bytes]:
    """What tar finds in a lake file: the last member of a name wins, and some were removed."""
    found: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            assert stream is not None
            data = stream.read()
            if member.name == ".lakebutler/deleted":
                for name in data.decode().splitlines():
                    found.pop(name, None)
            elif not member.name.startswith(".lakebutler/"):
                found[member.name] = data
    return found
