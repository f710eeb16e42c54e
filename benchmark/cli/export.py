"""``serxai export``: a run's explanations for work outside this package: weights as tables, maps as arrays."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

import pandas as pd

from ...errors import InputError
from ...methods.external_map import ExternalMap
from ...methods.record import PREFIX
from ..analysis.bands import MAX_PARTS, band_profiles, of_bands, part_weights, reliability, table_facts
from ..report.escape import csv_safe
from ..storage.explanations import Explanation
from ..storage.files import refuse_links, write_atomically, writing
from ..storage.map_folder import write_maps
from ..storage.store import Store
from .console import Console


def export(arguments: Namespace) -> int:
    """Write ``weights.csv`` and ``weights.parquet``; with ``--bands`` profiles and what the mask tables say, too.

    With ``--maps`` the maps themselves instead, as a folder that ``serxai score`` reads; with ``--statements`` what cue
    tables say, as a file that it reads.
    """
    if arguments.maps:
        return _export_maps(arguments)
    if arguments.statements:
        return _export_statements(arguments)
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


def _export_maps(arguments: Namespace) -> int:
    from ..run.config import config_of_run
    from ..run.method_spec import resolve_methods

    if arguments.bands:
        raise InputError("export: --maps and --bands write different folders; give one of them.")
    store = Store(arguments.run)
    specs = resolve_methods(config_of_run(store.info["config"]))
    found = {}
    for one in store.explanations():
        name = one.attribution.method
        if arguments.method and name not in arguments.method:
            continue
        place = (one.corpus, one.model, name, one.clip, one.condition, one.attribution.target, one.repeat, one.against)
        found[place] = one
    if not found:
        raise InputError(f"export: {arguments.run} holds no explanation by {', '.join(arguments.method) or 'any'}.")
    seeds = {name: "yes" if spec.stochastic else "no" for name, spec in specs.items()}
    refuse_links(arguments.out, ["maps"])
    with writing(arguments.out, resumable=False):
        manifest = write_maps(arguments.out, (_external(one, seeds) for one in found.values()))
    Console().print(f"maps: {manifest} ({len(found)} maps)", highlight=False, soft_wrap=True)
    return 0


def _export_statements(arguments: Namespace) -> int:
    from ..analysis.statements import statements_of_run
    from ..storage.statement_file import packed

    found = statements_of_run(Store(arguments.run), arguments.method)
    if not found:
        raise InputError(
            f"export: {arguments.run} holds no cue table that stands out from the clip; --statements needs a method "
            "such as beyond-saliency, under condition clean."
        )
    path = arguments.out / "statements.csv"
    with writing(arguments.out, resumable=False):
        write_atomically(path, packed(found))
    Console().print(f"statements: {path} ({len(found)} rows)", highlight=False, soft_wrap=True)
    return 0


def _external(one: Explanation, seeds: Mapping[str, str]) -> ExternalMap:
    told = one.attribution
    return ExternalMap(
        one.clip, told.target, told.values, told.grid, told.method.removeprefix(PREFIX), one.condition, one.repeat,
        told.model_calls, one.against, seeds.get(told.method, "unknown"), one.corpus, one.model,
    )  # fmt: skip


def _csv(table: pd.DataFrame) -> bytes:
    return csv_safe(table).to_csv(index=False, lineterminator="\n").encode()
