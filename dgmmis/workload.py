"""What a fit reads and holds, in bytes, from the numbers that describe it.

The terms follow what the code allocates; the constants were measured, as `docs/planning.md` tells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dgmmis.ascent import MOST_CURVED, MOST_PARAMETERS, MOST_TOGETHER
from dgmmis.climbing import CURVING_THREADS, PILOT_CHUNK
from dgmmis.component_views import MOST_KEPT as MOST_KEPT_VIEWS
from dgmmis.imputed_passes import LEAST_BLOCK, MOST_POINTS, POINTS
from dgmmis.observation import POINTS_OF_PART, REPLICATES
from dgmmis.packed import packed_size
from dgmmis.row_scores import SLAB_NUMBERS
from dgmmis.stepping import MOST_SECANTS

__all__ = ["DOUBLE", "MOST_CHUNKS", "ImputedShape", "Workload", "box_bytes"]

DOUBLE = 8
LOADED = 304 * 2**20
"""Bytes of a process with Python, the libraries, and kernels that it found compiled."""
COMPILING, COMPILING_PER_FEATURE, MOST_COMPILED = 336 * 2**20, 32 * 2**20, 8
"""The same of a process that compiles them: fixed, for each feature, and features up to which there are more."""
GROUP = 1300
"""Bytes of Python and NumPy objects of the rows of one chunk that share a pattern of observed features."""
METADATA = 6
"""Bytes in memory for each byte of JSON."""
RETAINED = 8
"""The allocator keeps this many times the largest array of a chunk, stored or computed, per thread that reads."""
BLOCK = 2**19
"""Bytes that a kernel works in, per thread, beside arrays of K."""
PARAMETER_COPIES = 6
"""Covariances of all components, in as many forms at once, while a group of rows is summed."""
MOST_CHUNKS = 64
"""Chunks of a segment at most: it is what a lost worker costs, and how finely progress is seen.  A segment
costs client, scheduler and worker 9 ms of a processor together: a hundredth of 64 chunks of 15 ms."""
BLOCK_ROWS = 128
"""Most rows of a kernel's block: it holds a density of each for every component."""
LISTS = 16
"""Numbers per component of the lists that say which may matter, one for each fourth size of runs, and their bounds."""
ROWS_PER_NODE = 32
"""Rows per box: one for each 64, 128, 256, ... of them."""
INFORMATION_COPIES = 4
"""Of the information: that of the last two populations, one that is summed, and one that is decomposed."""
HESSIAN_COPIES = 16
"""Of the Hessian: outer products of chunks that are not added up yet, the densities' part, the matrix, whitened,
rotated, its directions and what they are made of."""
SPARE_NODES = 24
"""Boxes of a group beyond that: each size of runs may have one that is not full."""


def box_bytes(rows: int, groups: int, n_features: int, *, has_noise: bool) -> int:
    """Most bytes of the boxes of `rows` rows in so many groups: two corners each, and two of their noise."""
    nodes = rows // ROWS_PER_NODE + SPARE_NODES * groups
    return DOUBLE * nodes * n_features * (4 if has_noise else 2)


@dataclass(frozen=True)
class ImputedShape:
    """Sizes of what stands for unobserved rows.

    Attributes
    ----------
    n_columns : int
        f, the columns that the selection looks at.
    n_classes : int
        B, noise classes: the most there can be.
    by_position : bool
        Whether each point has a noise of its own.
    """

    n_columns: int
    n_classes: int
    by_position: bool = False

    def first_points(self, sources: int) -> int:
        """Points that a fit begins with, `sources` being components and backgrounds."""
        each = POINTS / (REPLICATES * self.n_classes)
        block: int = max(LEAST_BLOCK, 2 ** math.ceil(math.log2(each)))
        return REPLICATES * block * sources * self.n_classes

    def point_bytes(self, n_backgrounds: int) -> int:
        """Bytes of a point that is kept from pass to pass."""
        noise = packed_size(self.n_columns) if self.by_position else 0
        return DOUBLE * (self.n_columns + 2 + n_backgrounds + noise)

    def drawing_bytes(self, n_points: int, sources: int) -> int:
        """Bytes while points of one part are drawn and their densities computed."""
        columns = 4 * self.n_columns + 4 * packed_size(self.n_columns) + 3 * sources
        return DOUBLE * columns * min(max(1, n_points // REPLICATES), POINTS_OF_PART)

    def sums_bytes(self, sources: int) -> int:
        """Bytes of the sums that one part of the points leaves."""
        return DOUBLE * self.n_classes * sources * (1 + self.n_columns + packed_size(self.n_columns))


@dataclass(frozen=True)
class Workload:
    """Rows and model of a fit, in numbers.

    Attributes
    ----------
    n_rows, n_features, n_components, n_backgrounds : int
        N, D, K and J.
    noise_numbers : int
        Numbers per row that the kernels read of its noise: 0, D or D (D + 1) / 2.
    column_bytes : tuple of int
        Bytes of a decoded row in each stored array that a pass reads.
    chunk_rows, pilot_rows : int
    n_patterns : int
        Patterns of observed features in all rows.
    decoded_bytes : int
        Of all rows as the kernels read them, in groups.
    disk_bytes : int
        That a pass reads from disk, compressed.
    metadata_bytes : int
        Of the manifest and the attributes: what grows with the number of chunks, by some 100 bytes for each file.
    start_rows : int
        Rows of the short fits that look for a start; 0 if a start was given.
    imputed : ImputedShape, optional
        Under a selection.
    n_parameters : int
        p, of a fit that climbs by steps; 0 for one that does not.
    sample_rows : int
        Rows that tell such a fit its information.
    short_chunks : int
        Chunks beyond those that the rows would fill: each append begins a new one.
    """

    n_rows: int
    n_features: int
    n_components: int
    noise_numbers: int
    column_bytes: tuple[int, ...]
    chunk_rows: int
    pilot_rows: int
    n_patterns: int
    decoded_bytes: int
    disk_bytes: int
    metadata_bytes: int
    n_backgrounds: int = 0
    start_rows: int = 0
    imputed: ImputedShape | None = None
    short_chunks: int = 0
    n_parameters: int = 0
    sample_rows: int = 0

    @property
    def n_chunks(self) -> int:
        """Chunks of rows."""
        return -(-self.n_rows // self.chunk_rows) + self.short_chunks

    def base_bytes(self, *, compiling: bool) -> int:
        """Bytes of a process before it holds a row; one that compiles its kernels holds the compiler's work too."""
        if not compiling:
            return LOADED
        return COMPILING + COMPILING_PER_FEATURE * min(self.n_features, MOST_COMPILED)

    @property
    def sources(self) -> int:
        """Components and backgrounds, K + J."""
        return self.n_components + self.n_backgrounds

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk as the kernels read it, in groups by pattern, backgrounds included."""
        rows = min(self.chunk_rows, self.n_rows)
        densities = 2 * DOUBLE * self.n_backgrounds * rows
        return self._grouped(rows) + densities + DOUBLE * rows  # the last: ln p of each row

    @property
    def reading_bytes(self) -> int:
        """Most bytes at once while a chunk is read, decoded and grouped, the grouped rows included."""
        return self._reading(min(self.chunk_rows, self.n_rows))

    @property
    def retained_bytes(self) -> int:
        """Bytes that the allocator keeps for a thread that reads, after they were given back."""
        rows = min(self.chunk_rows, self.n_rows)
        return RETAINED * max(self._largest(rows), DOUBLE * self.noise_numbers * rows)

    @property
    def cached_bytes(self) -> int:
        """Bytes of all chunks as they are kept decoded, Python's objects included."""
        groups = self.n_chunks * self._groups(min(self.chunk_rows, self.n_rows))
        return self.decoded_bytes + GROUP * groups

    @property
    def statistics_bytes(self) -> int:
        """Bytes of the sums over rows: K (1 + D + D (D + 1) / 2) doubles, and J."""
        sums = 1 + self.n_features + packed_size(self.n_features)
        return DOUBLE * (self.n_components * sums + self.n_backgrounds)

    @property
    def parameter_bytes(self) -> int:
        """Bytes of amplitudes, means and covariances."""
        return DOUBLE * self.n_components * (1 + self.n_features + self.n_features**2)

    @property
    def summing_bytes(self) -> int:
        """Bytes that a thread needs to sum a chunk: kernel, forms of the parameters, partial sums of the tree."""
        partial = 2 * math.ceil(math.log2(self.n_chunks + 1)) + 4
        forms = DOUBLE * self.n_components * self.n_features**2 * PARAMETER_COPIES
        blocks = DOUBLE * (BLOCK_ROWS + LISTS) * self.sources
        views = min(
            MOST_KEPT_VIEWS,
            self.n_patterns
            * DOUBLE
            * self.n_components
            * (2 + 3 * self.n_features + packed_size(self.n_features)),
        )
        return BLOCK + forms + blocks + views + partial * self.statistics_bytes

    @property
    def density_bytes(self) -> int:
        """Bytes of the background densities of all rows."""
        return DOUBLE * self.n_backgrounds * self.n_rows

    @property
    def starting_bytes(self) -> int:
        """Bytes while a start is looked for on the pilot."""
        if not self.start_rows:
            return 0
        distances = 3 * DOUBLE * self.n_components * self.start_rows
        pilot = self._reading(self.pilot_rows) + self._grouped(self.pilot_rows)
        return pilot + self._grouped(self.start_rows) + distances

    @property
    def climbing_bytes(self) -> int:
        """Bytes that steps take in the process that drives the fit: pilot, sample, scores and information."""
        if not 0 < self.n_parameters <= MOST_PARAMETERS:
            return 0
        pilot = self._reading(self.pilot_rows) + self._grouped(self.pilot_rows)
        own = self.n_features + packed_size(self.n_features)
        blocks = self.n_components * own**2 + self.sources**2
        numbers = self.n_parameters**2 if self.n_parameters <= MOST_TOGETHER else blocks
        squares = INFORMATION_COPIES * DOUBLE * numbers
        secants = 2 * MOST_SECANTS * DOUBLE * self.n_parameters
        sample = self._grouped(self.sample_rows) + self._scoring(self.sample_rows)
        return pilot + sample + squares + secants + self._curving_bytes

    @property
    def _curving_bytes(self) -> int:
        """Bytes that the Hessian of the pilot takes, where a fit without a prior would look at it."""
        if self.imputed is not None or self.n_parameters > MOST_CURVED:
            return 0
        chunk = self._scoring(min(self.pilot_rows, PILOT_CHUNK))
        return CURVING_THREADS * chunk + HESSIAN_COPIES * DOUBLE * self.n_parameters**2

    def _scoring(self, rows: int) -> int:
        """Responsibilities of rows, and scores of a slab of them in three forms."""
        return 3 * DOUBLE * (rows * self.sources + SLAB_NUMBERS)

    @property
    def parsed_bytes(self) -> int:
        """Bytes of the manifest and the attributes in memory."""
        return METADATA * self.metadata_bytes

    @property
    def most_points_bytes(self) -> int:
        """Bytes of the imputed points if they grow to as many as a fit may draw; 0 without a selection."""
        return 0 if self.imputed is None else MOST_POINTS * self.imputed.point_bytes(self.n_backgrounds)

    def _groups(self, rows: int) -> int:
        return min(self.n_patterns, rows)

    def _grouped(self, rows: int) -> int:
        """Values, noise, weights, positions and boxes of rows, by pattern."""
        numbers, groups = self.n_features + self.noise_numbers + 2, self._groups(rows)
        return DOUBLE * numbers * rows + GROUP * groups + self._boxes(rows, groups)

    def _boxes(self, rows: int, groups: int) -> int:
        return box_bytes(rows, groups, self.n_features, has_noise=self.noise_numbers > 0)

    def _largest(self, rows: int) -> int:
        return max(self.column_bytes) * rows

    def _reading(self, rows: int) -> int:
        stored = sum(self.column_bytes) * rows
        decoding = stored + 2 * self._largest(rows)
        converting = stored + 2 * DOUBLE * (self.n_features + self.noise_numbers) * rows
        ungrouped = DOUBLE * (self.n_features + self.noise_numbers + 1) * rows
        sorting = 40 * rows  # codes of the patterns, their order, and what sorting needs
        grouping = ungrouped + self._grouped(rows) + sorting
        return max(decoding, converting, grouping)
