"""Settings of the documentation site, built by ``make docs``: all warnings are errors there."""

from __future__ import annotations

import re
from importlib import import_module
from inspect import isfunction
from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.logging import getLogger

import serxai
from serxai.methods import METHODS
from serxai.metrics import METRICS

project = "serxai"
author = "The serxai authors"
copyright = author
version = release = serxai.__version__
html_title = f"serxai {version}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.viewcode", "numpydoc"]
root_doc = "index"
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
default_role = "code"
html_theme = "alabaster"
html_theme_options = {
    "description": serxai.__doc__.partition(": ")[2].partition("\n")[0] if serxai.__doc__ else "",
    "fixed_sidebar": True,
    "page_width": "75rem",
    "sidebar_width": "16rem",
}
html_sidebars = {"**": ["about.html", "searchbox.html", "navigation.html"]}
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]

myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
numpydoc_show_class_members = False  # autodoc lists them already
numpydoc_class_members_toctree = False

# pages outside this folder, and the pages that include them
INCLUDED = {"../CONTRIBUTING.md": "contributing.md", "../results/qualification/README.md": "verdicts.md"}
# packages whose public names the API reference must hold
PUBLIC = ("", "audio", "corpora", "errors", "maps", "methods", "metrics", "models", "registry", "testing")


def move_links(app: Sphinx, docname: str, source: list[str]) -> None:
    """Point links at pages outside the site's folder to the pages that include them."""
    for outside, page in INCLUDED.items():
        source[0] = source[0].replace(f"]({outside}", f"]({page}")


def fill_tables(app: Sphinx, docname: str, source: list[str]) -> None:
    """Write the tables of the page ``catalogue`` from the records, so that none is missing or out of date."""
    if docname != "catalogue":
        return
    for registry, fields in (
        (METHODS, ("name", "family", "summary", "needs", "reference", "cost", "citation")),
        (METRICS, ("name", "family", "direction", "summary", "cost", "citation")),
    ):
        cells = [[str(getattr(record, field)) for field in fields] for record in registry]
        rows = [[f"`{name}`", *(_plain(text) for text in texts)] for name, *texts in cells]
        table = [fields, ["---"] * len(fields), *rows]
        text = "\n".join(f"| {' | '.join(row)} |" for row in table)
        source[0] = source[0].replace(f"<!-- {registry.plural} -->", text)


def _plain(text: str) -> str:
    """Text of a record without Markdown's special characters."""
    return re.sub(r"([\\`*_\[\]<>|$#])", r"\\\1", text)


def missing_names(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of public classes and functions that have no entry in the API reference."""
    described = set(env.domaindata["py"]["objects"])
    values = [_public(path) for path in described if path.count(".") <= 2]
    for package in PUBLIC:
        path = f"serxai.{package}".rstrip(".")
        module = import_module(path)
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            documented = isinstance(value, type) or isfunction(value)
            if documented and not any(value is other for other in values):
                getLogger(__name__).warning("%s.%s is public and has no entry in docs/api", path, name)


def _public(path: str) -> Any:
    """Object behind a dotted path of the API reference: of ``serxai`` or of a module in it; None for methods."""
    package, _, name = path.rpartition(".")
    return getattr(import_module(package), name, None) if package.removeprefix("serxai").strip(".") in PUBLIC else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the functions above."""
    app.connect("source-read", move_links)
    app.connect("source-read", fill_tables)
    app.connect("env-check-consistency", missing_names)
    return {"parallel_read_safe": True}
