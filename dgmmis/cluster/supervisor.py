"""Keeps a pass going while workers die, and ends it with an error when nothing moves any more."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any

from distributed import Client, Future, LocalCluster

from dgmmis.cluster.bounded import UNANSWERED, wait_for_first, within
from dgmmis.cluster.configuration import progress_deadline as configured_deadline
from dgmmis.cluster.deaths import Beginning, Deaths
from dgmmis.cluster.duties import Bounds, Copy, Duties, Duty
from dgmmis.cluster.lateness import is_late, oldest, without_end
from dgmmis.cluster.pace import Pace
from dgmmis.cluster.placement import Placement
from dgmmis.cluster.revival import revive
from dgmmis.cluster.roster import Roster, workers_of
from dgmmis.errors import ClusterLost, DgmmisError, InvalidSetting, PoisonChunk
from dgmmis.vitals import OldestSegment, Vitals

__all__ = ["Submit", "Supervisor", "require_client"]

POLL = 1.0
RESULT_TIMEOUT = 2.5
MOST_TRIES = 6
"""Tries to fetch a finished result before another worker computes it; fewer if its worker is silent."""
PATIENCE = 24
"""Deadlines to wait while living workers say that they compute: a segment may rightly take long."""
MOST_FAILURES = 20
"""Failures of one segment that are not ours before it is given up."""
UNDER_WAY = ("pending", "lost")
EXAMINED_EVERY = 10.0
DISTRUST = 60.0
ORPHANED = 5.0

Submit = Callable[[Bounds, Any, Placement], Future[Any]]


def require_client(client: object) -> None:
    """Refuse what is no client of a Dask cluster, by `InvalidSetting`."""
    if client is not None and not isinstance(client, Client):
        raise InvalidSetting(
            f"client is {client!r}; expected a distributed.Client, or None to compute in this process."
        )


class Supervisor:
    """Runs the segments of each pass on a cluster whose workers may die, hang or vanish at any moment.

    Dask itself recomputes what a dead worker owed.  Beyond that: segments whose inputs were lost are sent
    out again; one that is late, or whose worker is silent, is given to another worker as well, and the first result
    counts; a local cluster whose nannies gave up is scaled back to its size; a chunk that kills its workers is
    found and named; and no sign of progress within the deadline is an error, because a cluster can lose all
    its workers without a word.

    Parameters
    ----------
    client : distributed.Client
    progress_deadline : float, optional
        [s]; default: `dgmmis.progress-deadline` of Dask's configuration.
    on_segment : callable, optional
        Called with (segments done, segments in all).
    rows_of : callable, optional
        Tells the first row of a chunk and one past its last.
    examine : callable, optional
        Called with all workers' addresses when a segment fails: raises if one of them is to blame.
    """

    def __init__(
        self,
        client: Client,
        progress_deadline: float | None = None,
        on_segment: Callable[[int, int], None] | None = None,
        *,
        rows_of: Callable[[int], tuple[int, int]] | None = None,
        examine: Callable[[list[str]], None] | None = None,
    ) -> None:
        require_client(client)
        self._client = client
        self._deadline = configured_deadline() if progress_deadline is None else progress_deadline
        self._on_segment, self._rows_of, self._examine = on_segment, rows_of, examine
        self._size = len(client.cluster.workers) if isinstance(client.cluster, LocalCluster) else 0
        self._homes: dict[Bounds, str] = {}
        self._roster, self._deaths = Roster(client), Deaths(client)
        self._paces: dict[Hashable, Pace] = defaultdict(Pace)
        self._examined = -EXAMINED_EVERY
        self._was_running = True
        self._trouble: BaseException | None = None
        self.resubmitted = 0
        self._died = 0
        self._oldest: OldestSegment | None = None

    @property
    def vitals(self) -> Vitals:
        """How the workers are; any thread may ask."""
        return Vitals(self._roster.vitals, self.resubmitted, self._died, self._oldest)

    def n_threads(self) -> int:
        """Worker threads of the cluster; waits for the first worker.

        Raises
        ------
        ClusterLost
            If no worker comes within the deadline.
        """
        ends = time.monotonic() + self._deadline
        while time.monotonic() < ends and self._client.status != "closed":
            with suppress(*UNANSWERED):
                if workers := workers_of(self._client):
                    return sum(worker["nthreads"] for worker in workers.values())
            time.sleep(min(POLL, self._deadline / 4))
        raise self._lost("no worker has joined")

    def addresses(self) -> list[str]:
        """All workers there are; empty if the scheduler does not answer."""
        self._roster.look(now=True)
        return self._roster.addresses()

    def run(
        self, segments: list[Bounds], submit: Submit, parameters: Any, kind: Hashable = None
    ) -> Iterator[Any]:
        """Yield the result of each segment, in order of arrival.

        The parameters travel with every task.  Scattering them once per pass would save bytes, but their
        replicas die with workers, and a worker's death during a broadcast fails it with a bare KeyError.

        Parameters
        ----------
        segments : list of (first chunk, one past the last)
        submit : callable
            Sends one segment out: (bounds, parameters, placement) -> Future.  Its result must be the same for
            a segment as for its chunks sent one by one.
        parameters : object
            What every segment needs.
        kind : hashable, optional
            Segments of one kind take about the same time.

        Raises
        ------
        DgmmisError
            What a worker raised of this package's errors.
        PoisonChunk
            If a chunk kills every worker that it is given to.
        ClusterLost
            If the cluster makes no progress within the deadline.
        """
        duties, pace = Duties(segments), self._paces[kind]
        last_progress = time.monotonic()
        try:
            with self._deaths.watched():
                while duties:
                    self._revive()
                    self._send(duties, submit, parameters)
                    self._wait(duties)
                    self._report(duties)
                    for duty in duties.current():
                        finished, result = self._collect(duty, duties, pace)
                        if finished:
                            last_progress = time.monotonic()
                            self._report(duties)
                            yield result
                        elif any(copy.tries for copy in duty.copies):
                            break  # look at who died before more is asked for in vain
                    self._mourn(duties)
                    if self._roster.look():
                        self._hurry(duties, pace, submit, parameters)
                    self._require_progress(last_progress)
        finally:
            self._oldest = None
            duties.withdraw()  # an error's traceback would keep them, and the cluster would go on computing them

    def _report(self, duties: Duties) -> None:
        """Tell how far the pass is; at least every few seconds, since whoever listens may want it to stop."""
        if self._on_segment is not None:
            self._on_segment(duties.done, duties.total)

    def _send(self, duties: Duties, submit: Submit, parameters: Any) -> None:
        for duty in duties.current():
            if not duty.copies and not self._dispatch(duty, submit, parameters, self._place(duty, duties)):
                return  # a worker died while data were sent to it; the deadline decides how often this is tried

    def _dispatch(self, duty: Duty, submit: Submit, parameters: Any, placement: Placement) -> bool:
        try:
            future = submit(duty.bounds, parameters, placement)
        except DgmmisError:
            raise
        except UNANSWERED as error:
            if self._client.status == "running" and isinstance(error, ValueError | AttributeError):
                raise  # no fault of the cluster
            self._trouble = error
            return False
        duty.add(Copy(future, time.monotonic()))
        return True

    def _place(self, duty: Duty, duties: Duties) -> Placement:
        """Where the segment's chunks may still be decoded; nowhere where nobody is heard from."""
        silent, home, known = self._roster.silent(), self._homes.get(duty.bounds), self._roster.addresses()
        if known and home not in known:
            home = None
        heard = tuple(worker for worker in self._roster.heard() if worker not in duty.avoided)
        if duties.alone:
            return Placement(heard[:1], anew=bool(duty.deaths), announced=True)
        if home is not None and home not in silent and home not in duty.avoided and not duty.deaths:
            return Placement((home,))
        return Placement(heard if silent or duty.avoided else (), bool(duty.avoided), duty.suspected)

    def _wait(self, duties: Duties) -> None:
        """Wait until something changes, or for a moment."""
        pending = [copy.future for copy in duties.copies()]
        if not pending or self._client.status != "running":
            time.sleep(POLL)
            return
        wait_for_first(self._client, pending, POLL)

    def _collect(self, duty: Duty, duties: Duties, pace: Pace) -> tuple[bool, Any]:
        """Take a finished segment's result; drop a failed copy so that it is sent again."""
        for copy in list(duty.copies):
            if copy.future.status in UNDER_WAY:
                continue
            try:
                result = copy.future.result(timeout=RESULT_TIMEOUT)
            except DgmmisError:
                raise
            except (Exception, CancelledError) as error:
                self._note_failure(duty, copy, duties, error)
                continue
            pace.add(time.monotonic() - copy.since)
            self._remember_home(duty, copy)
            duties.finish(duty)
            return True, result
        return False, None

    def _note_failure(self, duty: Duty, copy: Copy, duties: Duties, error: BaseException) -> None:
        if isinstance(error, TimeoutError) and copy.future.status in UNDER_WAY:
            return  # was finished, but its worker died before the result was fetched: being redone
        if isinstance(error, TimeoutError) and copy.future.status == "finished":
            copy.tries += 1
            if copy.tries >= MOST_TRIES or copy.worker in self._roster.silent():
                self._leave_holder(copy, duties)
            return
        duty.drop(copy)
        self.resubmitted += 1
        if isinstance(error, CancelledError):
            return  # the connection was lost, or its input: nobody's fault
        duty.failures += 1
        if self._examine is not None and time.monotonic() - self._examined > EXAMINED_EVERY:
            self._examine(self._roster.addresses())
            self._examined = time.monotonic()
        if duty.failures >= MOST_FAILURES:
            raise self._lost(
                f"chunks {duty.bounds[0]}..{duty.bounds[1] - 1} failed {duty.failures} times, last with "
                f"{type(error).__name__}: {error}"
            ) from error

    def _leave_holder(self, copy: Copy, duties: Duties) -> None:
        """Give up all results that lie on a worker that does not hand them out."""
        finished = [some for some in duties.copies() if some.future.status == "finished"]
        homes: dict[Any, Any] = {}
        with suppress(*UNANSWERED):
            homes = dict(within(POLL * 5, self._client.who_has, [some.future for some in finished]))
        holders = set(homes.get(copy.future.key, ()))
        for holder in holders:
            self._roster.distrust(holder, DISTRUST)
        for duty in duties.current():
            for some in list(duty.copies):
                if some is copy or (some in finished and set(homes.get(some.future.key, ())) & holders):
                    duty.drop(some)
                    duty.avoided |= holders
                    self.resubmitted += 1

    def _mourn(self, duties: Duties) -> None:
        """Count the workers that died; a chunk that kills them alone ends the pass."""
        for event in self._deaths.taken():
            if isinstance(event, Beginning):
                duties.begin(event.key)
                continue
            self._died += 1
            guilty = duties.blame(event.worker, event.keys)
            if guilty is not None:
                chunk = guilty.bounds[0]
                rows = None if self._rows_of is None else self._rows_of(chunk)
                raise PoisonChunk(chunk, rows, guilty.before + len(guilty.deaths), tuple(guilty.deaths))

    def _hurry(self, duties: Duties, pace: Pace, submit: Submit, parameters: Any) -> None:
        """Give what is late, or lies with a silent worker, to another as well; what is stuck is an error."""
        moment, silent = time.monotonic(), self._roster.silent()
        self._oldest = oldest(duties.current(), moment)
        for duty in duties.current():
            for copy in duty.copies:
                if copy.future.key in self._roster.holders:
                    copy.see(self._roster.holders[copy.future.key], moment)
            endless = without_end(duty, pace, self._roster.heard(), moment)
            if endless:
                raise self._lost(endless)
            self._drop_orphans(duty, moment)
            others = self._others(duty)
            if others and len(duty.copies) == 1 and is_late(duty.copies[0], pace, silent, moment):
                self._dispatch(duty, submit, parameters, Placement(others, anew=True))
                self.resubmitted += 1

    def _others(self, duty: Duty) -> tuple[str, ...]:
        """Workers to send something to that do not have this segment."""
        having = {copy.worker for copy in duty.copies} | duty.avoided
        return tuple(worker for worker in self._roster.heard() if worker not in having)

    def _drop_orphans(self, duty: Duty, moment: float) -> None:
        """Give up what no worker has while some are idle.

        The scheduler never wakes a task that prefers certain workers and found none at all.
        """
        for copy in list(duty.copies):
            in_hand = copy.future.key in self._roster.holders or copy.future.status not in UNDER_WAY
            if self._roster.idle and not in_hand and moment - copy.since > ORPHANED:
                duty.drop(copy)
                self._homes.pop(duty.bounds, None)
                self.resubmitted += 1

    def _remember_home(self, duty: Duty, copy: Copy) -> None:
        home = self._homes.get(duty.bounds)
        if home is not None and (copy.worker in (home, None)):
            return
        with suppress(*UNANSWERED):  # only a preference for the next pass
            homes = within(POLL * 5, self._client.who_has, [copy.future]).get(copy.future.key, ())
            if homes:
                self._homes[duty.bounds] = next(iter(homes))

    def _revive(self) -> None:
        """Bring a local cluster back to its size, and listen again on a connection that was lost."""
        if self._size:
            revive(self._client.cluster, self._size)
        running = self._client.status == "running"
        if running and not self._was_running:
            self._deaths.listen()
        self._was_running = running

    def _require_progress(self, last_progress: float) -> None:
        now = time.monotonic()
        if self._client.status == "closed":
            raise self._lost("the connection to the scheduler is lost")
        last_sign = max(last_progress, self._roster.working)
        if now - last_sign > self._deadline or now - last_progress > PATIENCE * self._deadline:
            raise self._lost(f"no segment finished for {now - last_progress:.0f} s")

    def _lost(self, what: str) -> ClusterLost:
        if self._trouble is not None:
            what += f" (last trouble in sending: {self._trouble!r})"
        return ClusterLost(
            f"{what}. Checkpoints are kept: look at the cluster's logs and resume the run on it or another."
        )
