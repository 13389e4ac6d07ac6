# SPDX-License-Identifier: BSD-3-Clause
"""Scripts run by ``lsst.daf.butler`` itself, in an environment of its own.

``PY_daf_butler`` names its Python; tests that need it are skipped where it is not set.
``PYTHONPATH_daf_butler`` may name a folder with more packages, such as psycopg2.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

PRELUDE = '''
import json, sys, types, importlib.abc, importlib.machinery
import lsst
from lsst.daf.butler.formatters.yaml import YamlFormatter


class Stubs(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Formatters of packages that are not on PyPI: names only, files are never read."""

    def find_spec(self, name, path=None, target=None):
        if name.startswith("lsst.obs") and not name.rpartition(".")[2][0].isupper():
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__path__ = []
        own = {"default_extension": ".fits", "supported_extensions": frozenset({".fits", ".parq", ".pickle"})}
        module.__getattr__ = lambda name: type(name, (YamlFormatter,), {"__module__": spec.name, **own})
        return module

    def exec_module(self, module):
        pass


sys.meta_path.append(Stubs())
from lsst.daf.butler import *
import json
'''

STATE = """
def state(root):
    b = Butler.from_config(root)
    found = {"collections": {}, "datasets": {}, "associations": [], "records": {}}
    for c in b.collections.query_info("*", include_doc=True):
        found["collections"][c.name] = [c.type.name, list(c.children), c.doc or ""]
    for t in sorted(b.registry.queryDatasetTypes()):
        for r in b.registry.queryDatasets(t, collections="*"):
            data = sorted((k, v) for k, v in r.dataId.required.items())
            content = None
            if b.stored(r) and not b.getURI(r).fragment:  # else it is inside of a zip
                import hashlib
                content = hashlib.sha256(b.getURI(r).read()).hexdigest()
            found["datasets"][str(r.id)] = [t.name, r.run, data, content]
        for a in b.registry.queryDatasetAssociations(t, collections="*"):
            span = None if a.timespan is None else list(a.timespan.nsec)
            found["associations"].append([str(a.ref.id), a.collection, span])
    found["associations"].sort(key=str)
    return found
"""


def python() -> str:
    """The incumbent's Python; skips the test if there is none."""
    found = os.environ.get("PY_daf_butler")  # noqa: SIM112 - the benchmark's name for it
    if not found or not os.path.exists(found):
        pytest.skip("PY_daf_butler is not set: lsst-daf-butler is needed")
    return found


def run(script: str, *arguments: object, where: Path) -> Any:
    """Run a script; what it prints last is JSON."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "DAF_BUTLER_CONFIG_PATH")}
    environment["PYTHONPATH"] = os.environ.get("PYTHONPATH_daf_butler", "")  # noqa: SIM112 - goes with the above
    done = subprocess.run(
        [python(), "-c", PRELUDE + STATE + script, *map(str, arguments)],
        cwd=where,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.strip().splitlines()
    return json.loads(lines[-1]) if lines else None
