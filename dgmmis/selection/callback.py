"""A user's own selection function, and its name in a module."""

from __future__ import annotations

import hashlib
import inspect
import pickle
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import FunctionType

from dgmmis.errors import SelectionError
from dgmmis.packed import Array
from dgmmis.selection.algebra import Features, Part, Selection, checked_features
from dgmmis.selection.binding import Leaf, Names
from dgmmis.selection.description import Description

__all__ = ["Callback", "as_selection", "import_reference"]

WAY_OUT = "put it in a module and name it 'module:function', or use dgmmis.selection parts"


@dataclass(frozen=True)
class Callback(Part):
    """A user's function of rows.

    Attributes
    ----------
    function : callable
        (N, F) values of `features` -> (N,) probabilities. If `features` is None it gets all features,
        and, if the data have covariates, those as a second argument (N, C).
    features : sequence of str or int, optional
    name : str, optional
        What to call it in messages.
    reference : str, optional
        "module:function" where it can be imported; found by itself for a function of a module.
    """

    function: Callable[..., object]
    features: Features = None
    name: str | None = None
    reference: str | None = None

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise SelectionError(f"{self.function!r} cannot be called: give a function of (N, F) values.")
        object.__setattr__(self, "features", checked_features(self.features, "Callback"))
        if self.reference is None:
            object.__setattr__(self, "reference", _reference(self.function))

    @property
    def title(self) -> str:
        """Name this part in messages."""
        own = getattr(self.function, "__qualname__", None) or type(self.function).__name__
        return f"'{self.name or self.reference or own}'"

    def node(self, names: Names) -> Leaf:
        """Find this function's columns: with covariates and no `features` it takes both, as two arguments."""
        if self.features is not None or not names.covariates:
            return super().node(names)
        return Leaf(self, tuple(range(len(names.all))), names.all, split=len(names.features))

    def answer(self, values: Array, covariates: Array | None = None) -> object:
        """Call the function."""
        return self.function(values) if covariates is None else self.function(values, covariates)

    def check_importable(self) -> None:
        """Refuse a function that no other process could import.

        Raises
        ------
        SelectionError
        """
        if self.reference is None:
            raise SelectionError(
                f"selection {self.title} is a lambda, a local function or an object without a name in a module: "
                f"a run folder must be able to import it again: {WAY_OUT}.",
                array="selection",
            )

    def description(self, largest: int) -> Description:
        """Describe the function by its name and the hash of its source, and of what a local one holds."""
        return {
            "kind": "Callback",
            "reference": self.reference,
            "source_sha256": _source_hash(self),
            "captured_sha256": None if self.reference else _captured_hash(self),
            "features": None if self.features is None else list(self.features),
            "name": self.name,
        }


def as_selection(given: object) -> Selection:
    """Read anything that stands for a selection.

    Parameters
    ----------
    given : Selection, callable or str
        A text "module:name" is imported.

    Raises
    ------
    SelectionError
    """
    if isinstance(given, Selection):
        return given
    if isinstance(given, str):
        found = import_reference(given)
        return found if isinstance(found, Selection) else Callback(_callable(found, given), reference=given)
    return Callback(_callable(given, repr(given)))


def import_reference(reference: str) -> object:
    """Import "module:name".

    Raises
    ------
    SelectionError
    """
    module, colon, path = reference.partition(":")
    if not (module and colon and path):
        raise SelectionError(f"{reference!r} names no selection: write 'module:function'.", value=reference)
    try:
        found: object = import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    except Exception as error:
        raise SelectionError(
            f"the selection {reference!r} cannot be imported ({type(error).__name__}: {error}). Put its module "
            "on the path (PYTHONPATH, or install it) on every machine.",
            value=reference,
        ) from error
    return found


def _callable(given: object, what: str) -> Callable[..., object]:
    if not callable(given):
        raise SelectionError(
            f"{what} is no selection: give a function of (N, F) values, 'module:function', or "
            f"dgmmis.selection parts; not {type(given).__name__}.",
            value=given,
        )
    return given


def _reference(function: object) -> str | None:
    """Where a function can be imported again, if it can."""
    module, path = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(path, str) or module == "__main__" or "<" in path:
        return None
    found: object = sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    return f"{module}:{path}" if found is function else None


def _source_hash(callback: Callback) -> str:
    function = callback.function
    sources: list[object] = [function]
    if callback.reference is not None:  # a compiled function or an object: the whole module it stands in
        sources.append(sys.modules.get(callback.reference.partition(":")[0]))
    for source in sources:
        try:
            text = inspect.getsource(source)  # type: ignore[arg-type]
        except (OSError, TypeError):
            continue
        return hashlib.sha256(textwrap.dedent(text).encode()).hexdigest()
    raise SelectionError(
        f"selection {callback.title} has no source by which a run could tell it from another: {WAY_OUT}.",
        array="selection",
    )


def _captured_hash(callback: Callback) -> str:
    """Hash the values that a local function or a method's object holds, which its source does not tell."""
    function = callback.function
    held: object = function
    if isinstance(function, FunctionType):
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        held = (cells, function.__defaults__, function.__kwdefaults__)
    try:
        return hashlib.sha256(pickle.dumps(held, protocol=4)).hexdigest()
    except Exception as error:
        raise SelectionError(
            f"selection {callback.title} holds values that cannot be hashed ({error}): {WAY_OUT}.",
            array="selection",
        ) from error
