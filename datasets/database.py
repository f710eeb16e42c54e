"""Load an audformat database as data: no code of its header or tables is run.

audformat reads ``db.yaml`` with a loader that builds any Python object a tag names, and prefers a pickled table
(``db.TABLE.pkl``) to a CSV or Parquet one beside it. Both run whatever the writer of the file wanted. Here a header
with such tags is refused, and pickles are left aside.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    import audformat

HEADER = "db.yaml"
HEADER_BYTES = 50_000_000
TABLES = (".csv", ".parquet")
_PLAIN = "tag:yaml.org,2002:"  # standard tags; those for Python objects begin with it too
_TYPES = {"null", "bool", "int", "float", "binary", "timestamp", "omap", "pairs", "set", "str", "seq", "map", "merge"}


def load_database(root: Path) -> audformat.Database:
    """Load header and tables of a database.

    Parameters
    ----------
    root : Path
        Folder with ``db.yaml`` and ``db.TABLE.csv`` or ``db.TABLE.parquet``.

    Raises
    ------
    InputError
        If the header holds tags other than YAML's own, or a table is there as a pickle alone.
    Exception
        Whatever audformat and its parsers raise for damaged files.
    """
    import audformat

    _refuse_tags(root / HEADER)
    files = [path for path in root.glob("db.*") if path.suffix in TABLES and path.is_file()]
    pickled = {path.stem for path in root.glob("db.*.pkl")} - {path.stem for path in files}
    if pickled:
        raise InputError(
            f"{root}: {', '.join(sorted(pickled))} there as a pickle alone (.pkl), which can run any code and is not "
            "read; save the table as CSV or Parquet."
        )
    with tempfile.TemporaryDirectory(prefix="serxai-database-") as folder:
        # audformat prefers pickles and offers no way out: it is shown a folder without them
        for path in (root / HEADER, *files):
            (Path(folder) / path.name).symlink_to(path.resolve())
        return audformat.Database.load(folder, load_data=True)


def _refuse_tags(path: Path) -> None:
    import yaml

    if path.stat().st_size > HEADER_BYTES:
        raise InputError(f"{path}: larger than {HEADER_BYTES / 1e6:.0f} MB; that is no header of a database.")
    with path.open("rb") as file:
        for event in yaml.parse(file, Loader=yaml.SafeLoader):
            tag = getattr(event, "tag", None)
            if tag and tag != "!" and not (tag.startswith(_PLAIN) and tag.removeprefix(_PLAIN) in _TYPES):
                raise InputError(
                    f"{path}, line {event.start_mark.line + 1}: the tag {tag!r} would build a Python object, which can "
                    "run any code; serxai reads plain YAML alone. Remove the tag."
                )
