"""What mkdocs cannot do by itself: see `mkdocs.yml`.

The pages are written for the repository. The index gives the navigation. A link that leaves `docs/` leads to a copy of
that file in the site, below `repository/`, so the site is complete without an address of the repository. The reference
of `pcip_core` has one page per folder, made from the docstrings. Each notebook is a page, with its results if
`make notebooks` has left them in `build/notebooks`.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter
from nbconvert.filters import strip_ansi

ROOT = Path(__file__).resolve().parents[1]
EXECUTED = ROOT / "build" / "notebooks"
DOCTEST = re.compile(r"(?:^[ ]*(?:>>>|\.\.\.).*\n?)(?:.*\S.*\n?)*", re.MULTILINE)
CODE = re.compile(r"^( *)```.*?^\1```$|(`+)[^`].*?\2", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)((?:#[^)\s]*)?)(?=\))")


class Doctests(griffe.Extension):  # type: ignore[misc]
    """The examples in docstrings are code, not quotations."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Fence each example of a docstring."""
        if obj.docstring:
            text = obj.docstring.value
            obj.docstring.value = DOCTEST.sub(lambda code: f"\n```pycon\n{code[0].rstrip()}\n```\n", text)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The headings, groups ("Images:") and links of the index are the navigation."""
    nav: list[Any] = [{"Documentation": "README.md"}]
    for part in re.split(r"^## ", (ROOT / "docs" / "README.md").read_text(), flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        section = group = []
        for line in text.splitlines():
            if name := re.fullmatch(r"(?:### )?([A-Z][\w ]+):?", line):
                section.append({name[1]: (group := [])})
            links = re.findall(r"\[([^]]+)\]\(([^)#\s]+\.(?:md|ipynb))\)", line)
            group.extend({text: site_path(posixpath.normpath(f"docs/{path}"))} for text, path in links)
        nav.append({title: section})
    nav[-2]["Reference"].append({"The library pcip_core": list(of_core())})
    config.nav = nav
    return config


def of_core() -> dict[str, list[str]]:
    """Page of the reference -> modules of pcip_core, a page for each folder."""
    pages: dict[str, list[str]] = {}
    for path in sorted((ROOT / "pcip_core").rglob("*.py")):
        if ast.get_docstring(ast.parse(path.read_text())):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            folder = path.parent.relative_to(ROOT).as_posix().replace("/", ".")
            pages.setdefault(f"reference/library/{folder}.md", []).append(module)
    return pages


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reference, the notebooks, and every file of the repository that a page links."""
    for page, modules in of_core().items():
        text = "\n\n".join([f"# {Path(page).stem}", *(f"::: {module}" for module in modules)])
        files.append(File.generated(config, page, content=text))
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for path, content in notebook_page(notebook):
            files.append(File.generated(config, path, content=content))
    waiting = [file for file in files if file.is_documentation_page() and file.abs_src_path]
    while waiting:
        for target in links_out(waiting.pop()):
            if files.get_file_from_path(site_path(target)) is None:
                copy = File.generated(config, site_path(target), abs_src_path=str(ROOT / target))
                files.append(copy)
                waiting.extend([copy] if copy.is_documentation_page() else [])
    return files


def notebook_page(notebook: Path) -> Iterator[tuple[str, str | bytes]]:
    """The page of a notebook and its pictures: path in the site, content."""
    executed = EXECUTED / notebook.name
    cells = nbformat.read(executed if executed.exists() else notebook, as_version=4)
    for output in (output for cell in cells.cells for output in cell.get("outputs", [])):
        if output.output_type == "stream":
            output.text = strip_ansi(output.text)
    text, resources = MarkdownExporter().from_notebook_node(cells, {"unique_key": notebook.stem})
    yield f"notebooks/{notebook.stem}.md", text
    for name, picture in resources["outputs"].items():
        yield f"notebooks/{name}", picture


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links to files of the repository lead to their places in the site."""
    here = repository_path(page.file.src_uri)

    def placed(link: re.Match[str]) -> str:
        target = site_path(posixpath.normpath(posixpath.join(posixpath.dirname(here), link[1])))
        return posixpath.relpath(target, posixpath.dirname(page.file.src_uri)) + link[2]

    parts, start = [], 0
    for code in CODE.finditer(markdown):  # code stays as it is
        parts += [LINK.sub(placed, markdown[start : code.start()]), code[0]]
        start = code.end()
    return "".join([*parts, LINK.sub(placed, markdown[start:])])


def links_out(file: File) -> Iterator[str]:
    """The files of the repository outside `docs/` that a page links, by their paths in it."""
    folder = posixpath.dirname(repository_path(file.src_uri))
    for path, _ in LINK.findall(CODE.sub("", file.content_string)):
        target = posixpath.normpath(posixpath.join(folder, path))
        if site_path(target).startswith("repository/") and (ROOT / target).is_file():
            yield target


def site_path(path: str) -> str:
    """Where a file of the repository is in the site."""
    if path.startswith("notebooks/"):
        return path.replace(".ipynb", ".md")
    return path.removeprefix("docs/") if path.startswith("docs/") else f"repository/{path}"


def repository_path(path: str) -> str:
    """Where a page of the site is in the repository."""
    if path.startswith("notebooks/"):
        return path
    return path.removeprefix("repository/") if path.startswith("repository/") else f"docs/{path}"
