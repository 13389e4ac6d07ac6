# SPDX-License-Identifier: BSD-3-Clause
"""Mending a registry: only ever back to a state that was committed.

What can be made anew of the log (hints, checkpoints) is made anew.  Behind a hole, or an
entry that does not hold, nothing proves what was committed: unless a checkpoint leads on
from there, the entries behind it are moved aside, and the version before is the newest
again.  Nothing is removed: what is in the way goes to ``registry/.damaged/``, which no
reader looks into.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from lakebutler.errors import RepositoryCorruptError, RepositoryError
from lakebutler.lake.checkpoint import last_checkpoint, listed_checkpoints, write_checkpoint
from lakebutler.lake.history import extend_state
from lakebutler.lake.naming import CHECKPOINT, LAST, LOG, dump, log_version
from lakebutler.lake.references import state_at
from lakebutler.lake.segment import SegmentStore
from lakebutler.lake.state import LakeState
from lakebutler.lake.storage import Storage
from lakebutler.lake.verify import Finding, RegistryReport, verify_registry

__all__ = ["ASIDE", "RepairPlan", "RepairStep", "plan_repair", "repair_registry"]

ASIDE = "registry/.damaged/"
"""Where what is in the way is moved to."""

_CHECKPOINTS = ("damaged checkpoint", "wrong checkpoint")
_LOG_KINDS = ("missing entry", "damaged entry", "broken chain")


@dataclass(frozen=True, slots=True)
class RepairStep:
    """One thing that mends.

    Parameters
    ----------
    verb : `str`
        ``move aside``, ``write checkpoint``, ``write hint``.
    object : `str`
        What it is about: a path, a version.
    detail : `str`
        Why.
    """

    verb: str
    object: str
    detail: str


@dataclass(frozen=True)
class RepairPlan:
    """What would be done about the damage to a registry.

    Parameters
    ----------
    steps : `tuple` [`RepairStep`]
        In the order in which they are done; none if there is nothing to mend.
    head : `int`
        The newest version afterwards; -1 if there is none to go back to.
    before : `int`
        The newest version that anything tells of.
    beyond : `tuple` [`Finding`]
        Damage that only a copy of the repository can mend.
    """

    steps: tuple[RepairStep, ...]
    head: int
    before: int
    beyond: tuple[Finding, ...]

    @property
    def lost(self) -> int:
        """How many versions go."""
        return max(0, self.before - self.head)


def plan_repair(storage: Storage) -> RepairPlan:
    """Find out what would be done; nothing is changed.

    Parameters
    ----------
    storage : `Storage`
        The repository.

    Raises
    ------
    lakebutler.errors.NotARepositoryError
        Raised if there is no repository.
    """
    report = verify_registry(storage)
    before = _last_told_of(storage)
    head = _reachable(storage, before)
    steps: list[RepairStep] = []
    if head >= 0 and head < before:
        why = f"nothing leads from version {head} to it"
        steps += [RepairStep("move aside", path, why) for path in _behind(storage, head)]
    bad = [finding for finding in report.findings if finding.kind in _CHECKPOINTS]
    moved = {step.object for step in steps}
    steps += [RepairStep("move aside", f.object, f.detail) for f in bad if f.object not in moved]
    moved = {step.object for step in steps}
    left = [(v, p) for v, p in listed_checkpoints(storage) if p not in moved]
    if head >= 0 and bad and not any(version == head for version, _ in left):
        steps.append(RepairStep("write checkpoint", f"version {head}", "in the place of the one moved aside"))
    elif head >= 0 and _hint_is_wrong(storage, left):
        newest = max(left, default=None)
        steps.append(RepairStep("write hint", LAST, newest[1] if newest else "there is no checkpoint"))
    return RepairPlan(tuple(steps), head, before, tuple(_beyond(report, head)))


def repair_registry(storage: Storage, plan: RepairPlan | None = None) -> RepairPlan:
    """Mend a registry as far as that can be done without a copy.

    Parameters
    ----------
    storage : `Storage`
        The repository; nobody else may be writing to it.
    plan : `RepairPlan`, optional
        What was agreed to; if something else would have to be done by now, nothing is.

    Returns
    -------
    plan : `RepairPlan`
        What was done.

    Raises
    ------
    lakebutler.errors.RepositoryCorruptError
        Raised if it is not as it was when the plan was made, or there is no version to go
        back to; nothing is changed then.
    """
    found = plan_repair(storage)
    if plan is not None and (plan.steps, plan.head) != (found.steps, found.head):
        raise RepositoryCorruptError(
            f"{storage.url} has changed since it was looked at", hint="look again, and let nobody write to it"
        )
    if found.head < 0:
        raise RepositoryCorruptError(
            f"{storage.url} has no version that could be gone back to", hint="restore it from a copy"
        )
    folder = f"{ASIDE}{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}/"
    # The newest first: a crash between two steps leaves a log that ends earlier, not one with a hole.
    for step in sorted(
        (s for s in found.steps if s.verb == "move aside"), key=lambda s: s.object, reverse=True
    ):
        _move_aside(storage, step.object, folder)
    for step in found.steps:
        if step.verb == "write checkpoint":
            write_checkpoint(state_at(SegmentStore(storage), found.head), storage)
        elif step.verb == "write hint":
            _write_hint(storage)
    return found


def _move_aside(storage: Storage, path: str, folder: str) -> None:
    data = storage.read(path)
    storage.write(folder + path.removeprefix("registry/"), data)
    storage.delete([path])


def _write_hint(storage: Storage) -> None:
    newest = max(listed_checkpoints(storage), default=None)
    if newest is None:
        storage.delete([LAST])
    else:
        storage.write(LAST, dump({"version": newest[0], "path": newest[1]}).encode() + b"\n")


def _hint_is_wrong(storage: Storage, checkpoints: list[tuple[int, str]]) -> bool:
    """Whether the hint does not name a checkpoint that is there, or is no hint."""
    try:
        content = storage.read(LAST)
    except FileNotFoundError:
        return bool(checkpoints)
    except RepositoryError:
        return True
    hinted = last_checkpoint(storage)
    return (hinted not in checkpoints) if hinted is not None else bool(content)


def _last_told_of(storage: Storage) -> int:
    """The newest version of which there is an entry or a checkpoint, whole or not."""
    listed = [version for info in storage.list(LOG) if (version := log_version(info.path)) is not None]
    return max([-1, *listed, *(version for version, _ in listed_checkpoints(storage))])


def _reachable(storage: Storage, last: int) -> int:
    """The newest version to which something whole leads."""
    best = -1
    starts = sorted({version for version, _ in listed_checkpoints(storage)}, reverse=True)
    for start in [*starts, None]:
        segments = SegmentStore(storage)
        state = LakeState(segments)
        with suppress(RepositoryError, KeyError):
            if start is not None:
                state = state_at(segments, start)
            extend_state(state, storage, last)
        best = max(best, state.head.version)
        segments.close()
        if best >= last:
            break
    return best


def _behind(storage: Storage, head: int) -> list[str]:
    """Entries and checkpoints of versions above one."""
    paths = [info.path for info in storage.list(LOG) if (log_version(info.path) or -1) > head]
    return [*paths, *(path for version, path in listed_checkpoints(storage) if version > head)]


def _above(finding: Finding, head: int) -> bool:
    """Whether something is about a log entry of a version above one."""
    version = log_version(finding.object)
    return version is not None and version > head


def _beyond(report: RegistryReport, head: int) -> list[Finding]:
    """What stays damaged after all steps."""
    gone = set() if head < 0 else {finding.object for finding in report.findings if _above(finding, head)}
    return [
        finding
        for finding in report.findings
        if finding.damage
        and finding.kind not in _CHECKPOINTS
        and not (finding.kind in _LOG_KINDS and finding.object in gone)
        and not finding.object.startswith(CHECKPOINT)
    ]
