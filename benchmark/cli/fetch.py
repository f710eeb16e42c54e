"""``serxai corpus fetch``: a public corpus through audb."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import asdict

from ...datasets.fetch import fetch_corpus


def fetch(arguments: Namespace) -> int:
    """Fetch, say where it lies and under which licence."""
    done = fetch_corpus(arguments.name, arguments.data_root, verbose=not arguments.json)
    if arguments.json:
        print(json.dumps(asdict(done), indent=2, default=str))
        return 0
    print(
        f"{done.corpus}: {done.clips} of {done.expected} clips ({done.database} {done.version}) in {done.folder}\n"
        f"licence: {done.licence}\ncite: {done.citation}\nnext: serxai corpus verify {done.corpus}"
    )
    return 0
