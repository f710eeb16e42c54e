"""Write into a checkout what a release knows of its repository: project URLs, and absolute links in README.md.

A package index shows README.md away from its repository, where relative links and pictures lead nowhere. The files of
the repository name no host, so the address is an argument; the release workflow gives that of the repository it runs
in::

    python .github/release_metadata.py https://HOST/OWNER/NAME v0.1.0
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

_LINK = re.compile(r"(!?)\[([^\]\n]*)\]\((?!https?:|#|mailto:)([^)\s]+)\)")


def absolute_links(text: str, repository: str, tag: str) -> str:
    """Lead the relative Markdown links of a text to files of a repository at a tag, pictures to their raw bytes."""
    return _LINK.sub(
        lambda link: f"{link[1]}[{link[2]}]({repository}/{'raw' if link[1] else 'blob'}/{tag}/{link[3]})", text
    )


def project_urls(repository: str, tag: str) -> dict[str, str]:
    """Name and address of the links that an index shows beside a project."""
    return {
        "Homepage": repository,
        "Documentation": f"{repository}/blob/{tag}/docs/index.md",
        "Changelog": f"{repository}/blob/{tag}/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }


def write(root: Path, repository: str, tag: str) -> None:
    """Change README.md and pyproject.toml below ``root``.

    Raises
    ------
    SystemExit
        If the address is none, the tag is not that of the version, or pyproject.toml names URLs already.
    """
    repository = repository.rstrip("/")
    if not re.fullmatch(r"https://[\w.-]+(/[\w.-]+){2,}", repository):
        raise SystemExit(f"repository: expected https://HOST/OWNER/NAME, got {repository!r}")
    settings = root / "pyproject.toml"
    text = settings.read_text("utf-8")
    project = tomllib.loads(text)["project"]
    if tag != f"v{project['version']}":
        raise SystemExit(f"tag: version {project['version']} needs the tag v{project['version']}, got {tag!r}")
    if "urls" in project:
        raise SystemExit("pyproject.toml: has [project.urls] already")
    urls = "\n".join(f'{name} = "{address}"' for name, address in project_urls(repository, tag).items())
    settings.write_text(f"{text.rstrip()}\n\n[project.urls]\n{urls}\n", "utf-8")
    readme = root / "README.md"
    readme.write_text(absolute_links(readme.read_text("utf-8"), repository, tag), "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    write(Path(__file__).parents[1], sys.argv[1], sys.argv[2])
