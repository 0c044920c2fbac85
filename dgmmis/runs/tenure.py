"""One driver per run in an object store: a lock object that its holder renews, and a number that counts the holders.

There is no kernel to free the lock of a dead process, and no clock that two machines share.  So the holder replaces the
lock object every few seconds, and whoever wants it watches that object on a clock of its own: unchanged for a whole
lease, its holder is taken for dead.  That can be wrong (a process may be stopped, a network cut), and nothing that is
stored depends on it: each takeover raises the epoch, and what an earlier holder writes later is refused or never seen.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from dgmmis.errors import CorruptCheckpoint, ObjectStoreError, RunLocked
from dgmmis.numeric_settings import seconds_from_environment
from dgmmis.object_store import Changed, Stored

if TYPE_CHECKING:
    from dgmmis.object_store.bucket import Bucket

__all__ = ["LEASE", "LOCK", "Tenure", "is_renewed", "last_holder", "take"]

LOCK = "lock"
LEASE = "DGMMIS_LEASE"
"""Environment: seconds without a sign of the holder after which its lock may be taken."""
SECONDS = 20.0
LONGEST = 600.0
BEATS = 10
"""Signs that a holder gives in one lease."""
WATCHED = 2.5
"""Beats without a sign after which a run is no longer said to be driven."""
POLL = 0.25
"""Of a beat: how often a watcher looks."""


@dataclass(frozen=True)
class Claim:
    """The content of the lock object.

    Attributes
    ----------
    epoch : int
        How many have held the lock, this one included.
    holder : str
        Process and machine, for people.
    token : str
        Of this holder alone.
    beat : int
        Counts its signs of life: no two contents are the same.
    lease : float
        [s]
    released : bool
    """

    epoch: int
    holder: str
    token: str
    beat: int
    lease: float
    released: bool

    @classmethod
    def mine(cls, epoch: int) -> Claim:
        """Claim of this process."""
        holder = f"process {os.getpid()} on {socket.gethostname()}"
        return cls(
            epoch, holder, uuid.uuid4().hex, 0, seconds_from_environment(LEASE, SECONDS, 1, LONGEST), False
        )

    @classmethod
    def of(cls, stored: Stored, bucket: Bucket) -> Claim:
        """Read the lock object; raises `CorruptCheckpoint` if it is none."""
        try:
            said = json.loads(stored.content)
            claim = cls(**said)
            lease = float(claim.lease)
            if not (int(claim.epoch) > 0 and lease > 0):
                raise ValueError("numbers below 0")
        except (TypeError, ValueError) as error:
            raise CorruptCheckpoint(
                f"{bucket.url / LOCK} is no lock of a run ({error!r}). If nobody drives the run, delete that object."
            ) from error
        return replace(claim, lease=min(lease, LONGEST))

    def to_bytes(self) -> bytes:
        """Content of the lock object."""
        return json.dumps(asdict(self), indent=1).encode()


class Tenure:
    """A lock that is held; a thread renews it until `release`.

    Parameters
    ----------
    bucket : Bucket
    claim : Claim
        As it stands in the lock object.
    etag : str
        Of the lock object.
    """

    def __init__(self, bucket: Bucket, claim: Claim, etag: str) -> None:
        self._bucket, self._claim, self._etag = bucket, claim, etag
        self._over = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._renew, name="dgmmis-lock", daemon=True)
        self._thread.start()

    @property
    def epoch(self) -> int:
        """How many have held the lock, this one included."""
        return self._claim.epoch

    @property
    def holder(self) -> str:
        """Who holds it."""
        return self._claim.holder

    def require(self) -> None:
        """Look into the lock object, and raise `RunLocked` if another process has taken the lock."""
        try:
            there = Claim.of(self._bucket.get(LOCK), self._bucket)
        except FileNotFoundError:
            raise RunLocked(self._lost_to("nobody: its lock object was deleted")) from None
        if self._lost or there.token != self._claim.token:
            raise RunLocked(self._lost_to(there.holder))

    def release(self) -> None:
        """Give the lock back, if it is still held."""
        self._over.set()
        self._thread.join()
        if not self._lost:
            self._replace(released=True)

    def _renew(self) -> None:
        while not self._over.wait(self._claim.lease / BEATS) and not self._lost:
            self._replace(released=False)

    def _replace(self, *, released: bool) -> None:
        claim = replace(self._claim, beat=self._claim.beat + 1, released=released)
        try:
            self._etag = self._bucket.put_if_unchanged(LOCK, claim.to_bytes(), self._etag)
            self._claim = claim
        except Changed:
            self._find_out()
        except (
            ObjectStoreError
        ):  # the next sign may come through; until then others may think this process dead
            self._claim = replace(claim, released=False)

    def _find_out(self) -> None:
        """Ask why the lock object is not what was last seen: perhaps a sign that seemed to fail came through."""
        try:
            there = self._bucket.get(LOCK)
            self._lost = Claim.of(there, self._bucket).token != self._claim.token
            self._etag = there.etag
        except (CorruptCheckpoint, FileNotFoundError):
            self._lost = True
        except ObjectStoreError:
            return  # asked again at the next sign

    def _lost_to(self, whom: str) -> str:
        return (
            f"{self._bucket.url} was taken over by {whom}, because this process gave no sign for "
            f"{self._claim.lease:g} s (it was stopped, or cut off from the store). What it was about to write is left "
            "out; the run goes on there."
        )


def take(bucket: Bucket) -> Tenure:
    """Take the lock, waiting for at most a lease to see whether its holder lives.

    Raises
    ------
    RunLocked
        If it lives, or another process took the lock at this moment.
    """
    try:
        there = bucket.get(LOCK)
    except FileNotFoundError:
        claim = Claim.mine(1)
        try:
            return Tenure(bucket, claim, bucket.put_if_absent(LOCK, claim.to_bytes()))
        except FileExistsError:
            raise _locked(bucket, Claim.of(bucket.get(LOCK), bucket)) from None
    before = Claim.of(there, bucket)
    if not before.released:
        latest = _watch(bucket, there, before.lease)
        before = Claim.of(latest, bucket)
        if latest.etag != there.etag and not before.released:
            raise _locked(bucket, before)
        there = latest
    claim = Claim.mine(before.epoch + 1)
    try:
        return Tenure(bucket, claim, bucket.put_if_unchanged(LOCK, claim.to_bytes(), there.etag))
    except Changed:
        raise _locked(bucket, Claim.of(bucket.get(LOCK), bucket)) from None


def is_renewed(bucket: Bucket) -> bool:
    """Tell whether the lock is held and gives signs of life, after some beats of watching if it does not."""
    try:
        there = bucket.get(LOCK)
    except FileNotFoundError:
        return False
    claim = Claim.of(there, bucket)
    if claim.released:
        return False
    latest = _watch(bucket, there, WATCHED * claim.lease / BEATS)
    return latest.etag != there.etag and not Claim.of(latest, bucket).released


def last_holder(bucket: Bucket) -> str:
    """Who holds the lock, or did last; empty if nobody did."""
    try:
        return Claim.of(bucket.get(LOCK), bucket).holder
    except FileNotFoundError:
        return ""


def _watch(bucket: Bucket, there: Stored, seconds: float) -> Stored:
    """Watch the lock object until it changes, or for so many seconds of this machine's monotonic clock."""
    claim = Claim.of(there, bucket)
    until, latest = time.monotonic() + seconds, there
    while latest.etag == there.etag and time.monotonic() < until:
        time.sleep(POLL * claim.lease / BEATS)
        latest = bucket.get(LOCK)
    return latest


def _locked(bucket: Bucket, claim: Claim) -> RunLocked:
    return RunLocked(f"{bucket.url} is driven by {claim.holder}. Wait for it, or stop it.")
