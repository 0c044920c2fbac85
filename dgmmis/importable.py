"""Functions of users, by name: how a run on other machines, or of another day, finds them again."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from dgmmis.errors import InvalidSetting, UntrustedFunction
from dgmmis.trust import Trust

__all__ = ["Untrusted", "importable_name", "imported", "trusted_or_stand_in"]


@dataclass(frozen=True)
class Untrusted:
    """Stands for a function that only a stored file names: it can be told of, not called or stored again.

    Attributes
    ----------
    name : str
        "module:function".
    what : str
        What it is, for messages.
    """

    name: str
    what: str

    def __call__(self, *arguments: object) -> NoReturn:
        """Raise `UntrustedFunction`."""
        raise UntrustedFunction(self.name, self.what)


def importable_name(function: Callable[..., Any], what: str) -> str:
    """Name a function `module:function`.

    Parameters
    ----------
    function : callable
    what : str
        What it is, for messages.

    Raises
    ------
    InvalidSetting
        If importing that name would not give it back: lambdas, functions inside functions or of a notebook,
        and objects that are merely callable.
    """
    if isinstance(function, Untrusted):
        raise UntrustedFunction(function.name, function.what)  # stored here, it would be trusted from then on
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    found = None
    if module not in (None, "__main__") and name and "<" not in name:
        found = _found(f"{module}:{name}")
    if found is not function:
        raise InvalidSetting(
            f"{what} {function!r} cannot be imported by name, so it cannot be stored. Define it with def at the "
            "top level of a module that can be imported wherever it is needed."
        )
    return f"{module}:{name}"


def imported(name: str, what: str) -> Callable[..., Any]:
    """Import the function that `importable_name` named.

    Raises
    ------
    InvalidSetting
        If there is no such function here.
    """
    function = _found(name)
    if not callable(function):
        raise InvalidSetting(
            f"{what} {name!r} cannot be imported here; expected 'module:function'. Install its module, or put its "
            "folder on PYTHONPATH."
        )
    return function  # type: ignore[no-any-return]


def trusted_or_stand_in(name: object, what: str, trust: Trust) -> Callable[..., Any]:
    """Import the function that a stored file names if it is trusted, else give what stands for it."""
    if isinstance(name, str) and trust.allows(name):
        return imported(name, what)
    return Untrusted(str(name)[:200], what)


def _found(name: str) -> Any:
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError):
        return None
    return found
