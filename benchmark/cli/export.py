"""``serxai export``: the weights of a run's explanations as CSV and parquet, for work outside this package."""

from __future__ import annotations

from argparse import Namespace

import pandas as pd

from ...errors import InputError
from ..analysis.bands import MAX_PARTS, band_profiles, of_bands, part_weights, reliability, table_facts
from ..storage.files import write_atomically, writing
from ..storage.store import Store
from .console import Console


def export(arguments: Namespace) -> int:
    """Write ``weights.csv`` and ``weights.parquet``; with ``--bands`` profiles and what the mask tables say, too."""
    store, methods = Store(arguments.run), tuple(dict.fromkeys(arguments.method))
    weights = part_weights(store, methods)
    if weights.empty:
        wanted = ", ".join(methods) or f"a method with at most {MAX_PARTS} parts"
        raise InputError(f"export: {arguments.run} holds no explanation by {wanted}; finish it with --resume.")
    files = {"weights": weights}
    if arguments.bands:
        bands = of_bands(weights)
        if bands.empty:
            raise InputError("export: --bands needs a method that explains by frequency bands, such as emolime.")
        clips, curves, pairs = table_facts(store, methods)
        files |= {
            "profiles": band_profiles(bands), "reliability": reliability(bands), "mask-tables": clips,
            "share-kept": curves, "interactions": pairs,
        }  # fmt: skip
    console = Console()
    with writing(arguments.out, resumable=False):
        for name, table in files.items():
            path = arguments.out / f"{name}.csv"
            write_atomically(path, _csv(table))
            console.print(f"{name}: {path} ({len(table)} rows)", highlight=False, soft_wrap=True)
        write_atomically(arguments.out / "weights.parquet", weights.to_parquet(None, index=False))
    console.print(f"weights: {arguments.out / 'weights.parquet'}", highlight=False, soft_wrap=True)
    if arguments.bands:
        for row in files["reliability"].itertuples():
            console.print(
                f"{row.method} of {row.model} on {row.corpus}, {row.condition}: split-half reliability "
                f"{row.reliability:.2f} ({row.n_clips} clips)",
                highlight=False,
                soft_wrap=True,
            )
    return 0


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode()
