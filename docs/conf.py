"""Settings of the documentation site, built by ``make docs``: all warnings are errors there."""

from __future__ import annotations

import re
from importlib import import_module
from inspect import getdoc, isfunction
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.logging import getLogger

import serxai
from serxai.benchmark.cli.show import describe
from serxai.methods import METHODS
from serxai.metrics import METRICS
from serxai.registry import Record, Registry

project = "serxai"
author = "The serxai authors"
copyright = author
version = release = serxai.__version__
html_title = f"serxai {version}"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.viewcode", "numpydoc"]
root_doc = "index"
source_suffix = {".md": "myst-nb", ".rst": "restructuredtext"}
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

# notebooks are Markdown files; they run in a folder of their own, and an error in a cell is an error of the build
nb_execution_mode = "cache"
nb_execution_cache_path = str(Path(__file__).parents[1] / "build" / "notebooks")
nb_execution_in_temp = True
nb_execution_timeout = (
    1200  # seconds a cell may take on a busy machine; a notebook takes less than 60 of processor time
)
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "remove"  # warnings of the packages of notebooks; what fails raises

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


def fill_pages(app: Sphinx, docname: str, source: list[str]) -> None:
    """Write tables and sections of methods and metrics from their records, so that none is missing or out of date."""
    if docname == "catalogue":
        methods = _table(METHODS, ("name", "family", "summary", "needs", "reference", "cost", "citation"))
        metrics = _table(METRICS, ("name", "family", "direction", "summary", "cost", "citation"))
        source[0] = source[0].replace("<!-- methods -->", methods).replace("<!-- metrics -->", metrics)
    for registry, page in ((METHODS, "methods-reference"), (METRICS, "metrics-reference")):
        if docname == page:
            families = dict.fromkeys(record.family for record in registry)
            parts = [
                f"## {family[0].upper()}{family[1:]}\n\n"
                + "\n\n".join(_section(registry.plural, record) for record in registry if record.family == family)
                for family in families
            ]
            source[0] = source[0].replace(f"<!-- {registry.plural} -->", "\n\n".join(parts))


def _table(registry: Registry[Any], fields: tuple[str, ...]) -> str:
    """Markdown table of the records of a registry; names lead to their sections."""
    cells = [[str(getattr(record, field)) for field in fields] for record in registry]
    rows = [
        [f"[`{name}`](#{_anchor(registry.plural, name)})", *(_plain(text) for text in texts)] for name, *texts in cells
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in [fields, ["---"] * len(fields), *rows])


def _section(kind: str, record: Record) -> str:
    """Section of the reference page: what a method or metric is, its formula, when it misleads, facts, citation."""
    page = describe(kind, record)
    facts = {name.replace("_", " "): _said(value) for name, value in page["facts"].items()}
    facts |= {f"`{one['name']} = {one['default']!r}`": _prose(one["meaning"]) for one in page["parameters"]}
    facts |= {"verdict": _plain(page["verdict"])} if page["verdict"] else {}
    lines = [
        f"({_anchor(kind, record.name)})=",
        f"### `{record.name}`",
        f"{_plain(record.summary[0].upper() + record.summary[1:])}.",
        _definition(record),
        f"$$\n{page['formula']}\n$$" if page["formula"] else "",
        f"**When it misleads.** {_prose(page['misleads'])}" if page["misleads"] else "",
        "\n".join(f"- {name}: {text}" for name, text in facts.items()),
        f"Source: {_plain(page['citation'])}. Version {page['version']}, {_plain(page['licence'])}.",
    ]
    return "\n\n".join(line for line in lines if line)


def _definition(record: Record) -> str:
    """What the docstring of a class says before its sections, without that of its module."""
    target = record.load()
    text = (getdoc(target) or "") if isinstance(target, type) else ""
    return _prose(re.split(r"\n\w[\w ]*\n-{3,}\n", text)[0].strip())


def _anchor(kind: str, name: str) -> str:
    return f"{kind.removesuffix('s')}-{name.replace(':', '-of')}"


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _plain(", ".join(value) if isinstance(value, tuple | list) else str(value))


def _prose(text: str) -> str:
    """Text with code between backquotes, everything else without Markdown's special characters."""
    return "".join(part if part.startswith("`") else _plain(part) for part in re.split(r"(`+[^`]+`+)", text))


def _plain(text: str) -> str:
    """Text without Markdown's special characters."""
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
    app.connect("source-read", fill_pages)
    app.connect("env-check-consistency", missing_names)
    return {"parallel_read_safe": True}
