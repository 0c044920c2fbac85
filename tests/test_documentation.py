"""The documentation tells the truth: its examples run, its links lead somewhere, its options exist."""

from __future__ import annotations

import doctest
import importlib
import json
import re
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
import typer.main

from dgmmis import errors
from dgmmis.cli.application import application
from dgmmis.kernels import LARGEST
from dgmmis.kernels.generator import file_name

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/*.md"), *ROOT.glob("notebooks/*.ipynb")]
)
COMMAND = typer.main.get_command(application)
VERBS = COMMAND.commands  # type: ignore[attr-defined]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in ROOT.glob("dgmmis/**/*.py")
    if ">>> " in path.read_text()
)
BARE_CODE = re.compile(r"`(--[a-z][a-z-]*)[^`]*`")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def text_of(page: Path) -> str:
    """Return a page's Markdown; of a notebook that of its text cells."""
    if page.suffix != ".ipynb":
        return page.read_text()
    cells = json.loads(page.read_text())["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def fenced_blocks(text: str, *languages: str) -> Iterator[str]:
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S):
        if language in languages:
            yield block


def without_fences(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """Anchors that a heading gets on the usual hosts: lower case, words joined by hyphens."""
    headings = re.findall(r"^#+ (.*)$", without_fences(text_of(page)), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands_of(text: str) -> Iterator[list[str]]:
    """Give the words of each `dgmmis VERB ...` in shell blocks and inline code."""
    blocks = [block.replace("\\\n", " ") for block in fenced_blocks(text, "bash", "console")]
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", without_fences(text))
    for line in lines:
        found = re.match(r"(?:\$ )?dgmmis ([^#&]*)", line)
        if found:
            yield found.group(1).split()


def options_of(verb: str) -> set[str]:
    parameters = VERBS[verb].params
    return {option for parameter in parameters for option in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help"
    }


@pytest.mark.parametrize("page", [page for page in PAGES if "```pycon" in text_of(page)], ids=name_of)
def test_the_examples_of_a_page_print_what_they_say(page: Path) -> None:
    for block in fenced_blocks(text_of(page), "pycon"):
        test = doctest.DocTestParser().get_doctest(block, {}, page.name, str(page), 0)
        runner = doctest.DocTestRunner(verbose=False)
        runner.run(test)
        assert test.examples
        assert runner.summarize(verbose=False).failed == 0


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_the_examples_of_docstrings_print_what_they_say(module: str) -> None:
    tried = doctest.testmod(importlib.import_module(module))
    assert tried.attempted > 0
    assert tried.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_example_in_python_is_python(page: Path) -> None:
    for block in fenced_blocks(text_of(page), "python"):
        compile(block, name_of(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(without_fences(text_of(page))):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        assert goal.exists(), f"{name_of(page)} links to {target}"
        if anchor:
            assert anchor in anchors(goal), (
                f"{name_of(page)} links to {target}, whose headings are {anchors(goal)}"
            )


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_documented_verb_and_option_exists(page: Path) -> None:
    for words in commands_of(text_of(page)):
        verb, *rest = words
        assert verb in VERBS or verb in ("VERB", "--help", "--version"), f"{name_of(page)}: dgmmis {verb}"
        if verb in VERBS:
            for word in rest:
                if re.match(r"--?[A-Za-z]", word):
                    assert word.partition("=")[0] in options_of(verb), (
                        f"{name_of(page)}: dgmmis {' '.join(words)}"
                    )


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_option_that_is_named_alone_belongs_to_some_verb(page: Path) -> None:
    known = set().union(*(options_of(verb) for verb in VERBS))
    for option in BARE_CODE.findall(without_fences(text_of(page))):
        assert option in known, f"{name_of(page)}: {option}"


def test_the_command_line_page_tells_of_every_verb() -> None:
    text = (ROOT / "docs/command_line.md").read_text()
    for verb in VERBS:
        assert f"| `{verb} " in text


def test_every_option_of_the_verbs_that_do_the_work_is_documented() -> None:
    text = "".join(text_of(page) for page in PAGES)
    for verb in ("ingest", "plan", "fit", "resume", "submit", "serve", "compare", "apply", "report"):
        for option in options_of(verb) - {"--help"}:
            assert option in text, f"dgmmis {verb} {option} is told of nowhere"


def test_every_module_has_its_place_in_the_architecture() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    named = set(re.findall(r"`(dgmmis/[\w/]+\.py)`", text))
    modules = {
        str(path.relative_to(ROOT)) for path in ROOT.glob("dgmmis/**/*.py") if path.name != "__init__.py"
    }
    generated = {f"dgmmis/kernels/{file_name(d)}" for d in range(1, LARGEST + 1)}
    assert generated <= modules
    assert "`dgmmis/kernels/straight_*.py`" in text  # names all that are generated, and nothing else
    assert modules - named == generated
    assert named - modules == set()


def test_every_documented_function_of_the_package_exists() -> None:
    for dotted in re.findall(r"`(dgmmis(?:\.\w+)+)`", (ROOT / "docs/mathematics.md").read_text()):
        module, _, attribute = dotted.rpartition(".")
        found = __import__(module, fromlist=[attribute]) if module != "dgmmis" else None
        exists = hasattr(found, attribute) if found else (ROOT / "dgmmis" / f"{attribute}.py").exists()
        assert exists, dotted


def test_the_exit_codes_on_the_page_are_those_of_the_errors() -> None:
    rows = re.findall(r"^\| (\d+) \| ", (ROOT / "docs/runs.md").read_text(), re.M)
    codes = {getattr(errors, name).exit_code for name in errors.__all__}
    assert codes <= {int(row) for row in rows}


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "docs/dependencies.md").read_text()
    for requirement in chain(project["dependencies"], *project["optional-dependencies"].values()):
        name = re.split(r"[<>=\[ ]", requirement)[0]
        assert re.search(rf"^\|[^|]*\b{re.escape(name)}\b[^|]*\|", text, re.M) or name == "dgmmis", name


def test_the_contents_of_the_site_name_every_page() -> None:
    lines = (ROOT / "docs" / "contents.md").read_text().splitlines()
    entries = {re.sub(r".*<(.*)>", r"\1", line) for line in lines}
    pages = {page.stem for page in ROOT.glob("docs/*.md")} - {"contents"}
    assert pages <= entries
    assert "../notebooks/*" in entries
