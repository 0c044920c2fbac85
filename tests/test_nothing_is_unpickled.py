"""No file is read by anything that could run what is in it: a look at every line of the package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "dgmmis"
MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "cloudpickle",
    "dill",
    "joblib",
    "marshal",
    "shelve",
    "yaml",
    "torch",
    "jsonpickle",
    "pandas",
}
"""Whose readers run what a file holds."""
CALLS = {
    "eval",
    "exec",
    "compile",
    "execfile",
    "__import__",
    "literal_eval",
    "system",
    "popen",
    "read_pickle",
    "open_group",
    "open_array",
}
ALLOWED = {
    (
        "cluster/preflight.py",
        "distributed.protocol.pickle",
    ): "a message to workers of the caller's own cluster",
    ("cluster/worker_check.py", "distributed.protocol.pickle"): "the same message, as it arrives",
    ("selection/algebra.py", "pickle"): "writes, to see whether a selection can be sent; reads nothing",
    ("selection/callback.py", "pickle"): "writes, to hash what a local function holds; reads nothing",
    ("products/zarr_output.py", "open_group"): "the product that this process is writing",
}
"""What there is, and why it is no file of a stranger's."""


def found_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if MODULES & set(alias.name.split(".")))
        elif isinstance(node, ast.ImportFrom) and MODULES & set((node.module or "").split(".")):
            yield str(node.module)
        elif isinstance(node, ast.Call):
            yield from called(node)


def called(node: ast.Call) -> Iterator[str]:
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    of_re = (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id == "re"
    )
    if name in CALLS and not of_re:
        yield name
    is_numpy = (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id == "np"
    )
    if name in ("load", "lib") and is_numpy:
        said = {keyword.arg: getattr(keyword.value, "value", None) for keyword in node.keywords}
        if said.get("allow_pickle", True) is not False:
            yield "numpy.load without allow_pickle=False"


def test_nothing_in_the_package_can_run_what_a_file_holds() -> None:
    found = {
        (str(path.relative_to(PACKAGE)), what) for path in PACKAGE.rglob("*.py") for what in found_in(path)
    }
    assert found - set(ALLOWED) == set()
    assert set(ALLOWED) - found == set()


def test_only_one_function_loads_pickles_and_it_reads_messages() -> None:
    loading = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name | ast.Attribute)
        and (
            getattr(node, "id", None) in ("loads", "Unpickler") or getattr(node, "attr", None) == "Unpickler"
        )
    }
    assert loading == {"cluster/worker_check.py"}


def test_npz_files_are_read_in_one_place_that_looks_at_them_first() -> None:
    reading = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for line in path.read_text().splitlines()
        if "np.load(" in line
    }
    assert reading == {
        "plain_arrays.py",
        "pygmmis/gmm.py",
    }  # the latter: pyGMMis' own files, allow_pickle=False
