"""What one load of a chunk is used for: several populations, each on the rows that count for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, cast

from dgmmis.background import BackgroundLike
from dgmmis.component_views import MOST_KEPT, ComponentViews
from dgmmis.errors import CollapsedComponent, DgmmisError, InvalidData, SelectionError
from dgmmis.expectation import NEGLIGIBLE, summarize_samples
from dgmmis.folds import Part
from dgmmis.population import Population
from dgmmis.row_parts import weighing_only
from dgmmis.samples import Samples
from dgmmis.score_statistics import Statistics
from dgmmis.selected_rows import Cut
from dgmmis.survey import Survey, Surveyor
from dgmmis.tree import Addable

__all__ = ["ChunkWork", "Job", "ManyStatistics", "ManySurveys", "Several", "Spoiled", "surveys_of"]


Sum_co = TypeVar("Sum_co", bound=Addable, covariant=True)
Member = TypeVar("Member", Statistics, Survey)


class ChunkWork(Protocol[Sum_co]):
    """What a pass makes of each chunk; it travels to workers, and what it makes is added in the fixed tree."""

    @property
    def backgrounds(self) -> tuple[BackgroundLike, ...]:
        """Of which the rows need the densities; amplitudes do not matter."""

    @property
    def cut(self) -> Cut | None:
        """The selection that rows passed."""

    def begin(self) -> Callable[[Samples, int], Sum_co]:
        """Make ready for some chunks: a function of a chunk and its first row's number."""


@dataclass(frozen=True)
class Spoiled:
    """A member of several that could not be computed, while the others could.

    Attributes
    ----------
    error : DgmmisError
        Of the first chunk that spoiled it.
    """

    error: DgmmisError


@dataclass(frozen=True)
class Several(Generic[Member]):
    """Sums that are made together, one for each job; they add one by one.

    Attributes
    ----------
    members : tuple
        A job that failed is `Spoiled`.
    """

    members: tuple[Member | Spoiled, ...]

    def __add__(self, other: Several[Member]) -> Several[Member]:
        return Several(tuple(map(_added, self.members, other.members)))


def _added(left: Member | Spoiled, right: Member | Spoiled) -> Member | Spoiled:
    if isinstance(left, Spoiled):
        return left
    return right if isinstance(right, Spoiled) else left + right


Job = tuple[Population, Part]
"""A population, and the rows to evaluate it on."""


@dataclass(frozen=True)
class ManyStatistics:
    """Statistics of several populations, each of its own part of the rows.

    Each has the bits that it would have alone, with weight 0 for rows that do not count.  All have the same
    backgrounds but for the amplitudes.

    Attributes
    ----------
    jobs : tuple of (Population, Part)
    cut : Cut or None
    negligible : float
        As of `summarize_samples`.
    """

    jobs: tuple[Job, ...]
    cut: Cut | None = None
    negligible: float = NEGLIGIBLE

    @property
    def backgrounds(self) -> tuple[BackgroundLike, ...]:
        """Those of the populations."""
        return self.jobs[0][0].backgrounds

    def begin(self) -> Callable[[Samples, int], Several[Statistics]]:
        """Prepare the components once for all chunks."""
        views = [ComponentViews(population, MOST_KEPT // len(self.jobs)) for population, _ in self.jobs]

        def summarize(samples: Samples, first_row: int) -> Several[Statistics]:
            weighed: dict[Part, Samples] = {}
            members: list[Statistics | Spoiled] = []
            for (_, part), view in zip(self.jobs, views, strict=True):
                if part not in weighed:
                    weighed[part] = weighing_only(samples, part.chosen(samples.hashes))
                members.append(self._summarize(view, weighed[part], first_row))
            return Several(tuple(members))

        return summarize

    def _summarize(self, views: ComponentViews, samples: Samples, first_row: int) -> Statistics | Spoiled:
        try:
            return summarize_samples(
                views.population,
                samples,
                first_row=first_row,
                cut=self.cut,
                negligible=self.negligible,
                views=views,
            )
        except SelectionError:
            raise
        except (CollapsedComponent, InvalidData) as error:
            return Spoiled(error)


@dataclass(frozen=True)
class ManySurveys:
    """Surveys of several parts of the rows.

    Attributes
    ----------
    surveyor : Surveyor
    parts : sequence of Part
    """

    surveyor: Surveyor
    parts: Sequence[Part]

    @property
    def backgrounds(self) -> tuple[BackgroundLike, ...]:
        """None: a survey needs no densities."""
        return ()

    @property
    def cut(self) -> Cut:
        """The surveyor's."""
        return self.surveyor.cut

    def begin(self) -> Callable[[Samples, int], Several[Survey]]:
        """Nothing is to be prepared."""

        def survey(samples: Samples, first_row: int) -> Several[Survey]:
            return Several(
                tuple(
                    self.surveyor.survey(
                        weighing_only(samples, part.chosen(samples.hashes)), first_row=first_row
                    )
                    for part in self.parts
                )
            )

        return survey


def surveys_of(several: Several[Survey]) -> tuple[Survey, ...]:
    """Members of several surveys, none of which can be spoiled."""
    return cast("tuple[Survey, ...]", several.members)
