"""``serxai corpus fetch``: download of a public corpus through audb."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import asdict

from ...datasets.fetch import fetch_corpus


def fetch(arguments: Namespace) -> int:
    """Fetch a corpus; print its folder and licence."""
    fetched = fetch_corpus(arguments.name, arguments.data_root, verbose=not arguments.json)
    if arguments.json:
        print(json.dumps(asdict(fetched), indent=2, default=str))
        return 0
    print(
        f"{fetched.corpus}: {fetched.clips} of {fetched.expected} clips ({fetched.database} {fetched.version}) "
        f"in {fetched.folder}\n"
        f"licence: {fetched.licence}\ncite: {fetched.citation}\nnext: serxai corpus verify {fetched.corpus}"
    )
    return 0
