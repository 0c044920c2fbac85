"""Every error a caller may want to catch.

Each one names the thing, shows the value and offers the way out.  Errors about data carry where the
datum lies as attributes, so that a program can act on what a person reads.
"""

from dgmmis.errors.base import AlreadyExists, DgmmisError, InvalidSetting, MemoryPlanExceeded, MissingLibrary
from dgmmis.errors.data import (
    CatalogLocked,
    CorruptCatalog,
    EmptySource,
    FeatureMismatch,
    InvalidData,
    NotACatalog,
    SelectionError,
    TooManyQuarantined,
    UnitMismatch,
    UnknownColumn,
)
from dgmmis.errors.machines import (
    ClusterLost,
    DiskFull,
    ObjectStoreError,
    PoisonChunk,
    StorageFailed,
    WorkersDiffer,
)
from dgmmis.errors.running import (
    CollapsedComponent,
    CorruptCheckpoint,
    ImputationLimit,
    NotARun,
    RunCancelled,
    RunConflict,
    RunInterrupted,
    RunLocked,
)
from dgmmis.errors.strangers import InsecureCluster, UnsafeFile, UnsafePlace, UntrustedFunction

__all__ = [
    "AlreadyExists",
    "CatalogLocked",
    "ClusterLost",
    "CollapsedComponent",
    "CorruptCatalog",
    "CorruptCheckpoint",
    "DgmmisError",
    "DiskFull",
    "EmptySource",
    "FeatureMismatch",
    "ImputationLimit",
    "InsecureCluster",
    "InvalidData",
    "InvalidSetting",
    "MemoryPlanExceeded",
    "MissingLibrary",
    "NotACatalog",
    "NotARun",
    "ObjectStoreError",
    "PoisonChunk",
    "RunCancelled",
    "RunConflict",
    "RunInterrupted",
    "RunLocked",
    "SelectionError",
    "StorageFailed",
    "TooManyQuarantined",
    "UnitMismatch",
    "UnknownColumn",
    "UnsafeFile",
    "UnsafePlace",
    "UntrustedFunction",
    "WorkersDiffer",
]
