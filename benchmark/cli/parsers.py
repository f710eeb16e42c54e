"""Parsers of the commands: flags, help and examples, and which module carries a command out."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import (
    add_command,
    add_data_root,
    add_ensemble,
    add_many,
    add_param,
    add_trust,
    nonempty_path,
)


def _run(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands, "run", "run a benchmark: explain, score, test, rank", ".run:run",
        """
        serxai run
        serxai run --corpus emodb --model cnn --limit 40 --data-root DIR --out runs/emodb
        serxai run --method emolime --method random --metric deletion --fill attenuate --fill noise
        serxai run --out runs/emodb --resume
        serxai run --preset full --corpus emodb --data-root DIR --dry-run
        serxai run --target anger-sadness --method crp --method random
        """,
    )  # fmt: skip
    parser.add_argument(
        "config",
        nargs="?",
        type=nonempty_path,
        metavar="CONFIG.toml",
        help="settings, as in serxai/benchmark/presets; flags override them",
    )
    parser.add_argument(
        "--preset", metavar="NAME", help="shipped settings to start from (see: serxai ls presets); default quick"
    )
    add_many(parser, "--corpus", "N", "corpus to explain; see: serxai ls corpora")
    add_many(parser, "--model", "N", "recogniser; see: serxai ls models")
    add_many(parser, "--method", "N", "explanation method, or `all`; see: serxai ls methods")
    add_param(parser)
    add_many(parser, "--metric", "N", "metric, `all` or `core`; see: serxai ls metrics")
    add_many(
        parser, "--condition", "N",
        "distribution shift, `clean` among them; see: serxai ls conditions; default clean where --metric is given",
    )  # fmt: skip
    add_many(parser, "--emotion", "N", "explain only clips of this emotion")
    add_many(
        parser,
        "--fill",
        "N",
        "what replaces removed parts: attenuate, noise, spectral-mean, zero, twin; default: the first with reach",
    )
    parser.add_argument(
        "--target",
        metavar="predicted|true|EMOTION|A-B",
        help="class, or output such as arousal, to explain; default predicted",
    )
    parser.add_argument(
        "--trained-on", metavar="CORPUS", help="training corpus of the model; default the corpus explained"
    )
    add_ensemble(parser, None)
    parser.add_argument(
        "--limit",
        type=int,
        metavar="CLIPS",
        help="maximum of clips per corpus, balanced over speakers and emotions; 0 for all",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="seed of every draw; default 0")
    parser.add_argument("--repeats", type=int, metavar="N", help="seeds per stochastic method; default 1")
    parser.add_argument(
        "--reexplain-calls", type=int, metavar="N",
        help="most model calls of an explanation that sanity and sensitivity metrics make again; default 1024",
    )  # fmt: skip
    add_many(
        parser, "--checkpoint", "[MODEL=]PATH", "a folder written by `serxai train`, or the file of a foreign model"
    )
    add_trust(parser)
    add_data_root(parser)
    parser.add_argument(
        "--out", type=nonempty_path, metavar="DIR", help="run folder; default runs/PRESET, or the next free one"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue the run in --out with its own settings; corpora, models, methods, metrics, conditions and fills "
        "given now are added to them, other flags replace them; what is finished costs nothing",
    )
    parser.add_argument("--retry-failed", action="store_true", help="with --resume: compute failed rows again")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: the cores of this machine")
    parser.add_argument("--device", default="cpu", metavar="cpu|cuda", help="where the recogniser runs; default cpu")
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be computed and what it costs; compute nothing"
    )
    parser.add_argument(
        "--memory", "--max-memory", type=float, metavar="GB", help="memory that all workers may hold together"
    )
    parser.add_argument(
        "--batch-memory", type=float, metavar="GB", help="memory that one batch of copies may take in the recogniser"
    )
    parser.add_argument("--executor", default="local", choices=("local", "ray"), help="where shards run; default local")
    parser.add_argument(
        "--ray-address", metavar="ADDRESS", help="cluster to join (auto: the one running); default a new one"
    )
    parser.add_argument("--json", action="store_true", help="print the leaderboard as JSON instead of a table")


def _qualify(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands, "qualify", "test the metrics themselves on explanations of known quality", ".qualify:run",
        """
        serxai qualify --dry-run
        serxai qualify --metric deletion --metric quantus:PixelFlipping --limit 16 --out runs/two-metrics
        serxai qualify --metric all --model planted-rule --limit 12
        serxai qualify SETTINGS.toml --out runs/qualify
        serxai qualify --resume --out runs/qualify --metric gini
        """,
    )  # fmt: skip
    parser.add_argument(
        "config", nargs="?", type=nonempty_path, metavar="CONFIG.toml",
        help="settings, as in serxai/benchmark/qualification/defaults.toml; flags override them",
    )  # fmt: skip
    add_many(parser, "--metric", "N", "metric to qualify, or all; default all and four of Quantus")
    add_many(parser, "--model", "N", "recogniser; default planted-rule (white box) and cnn")
    add_many(parser, "--fill", "N", "fills to compare, the first used elsewhere; default all four, twin first")
    add_many(parser, "--emotion", "N", "planted emotion; default anger, happiness, sadness")
    add_many(parser, "--corpus", "N", "planted corpus; default planted")
    parser.add_argument(
        "--trained-on", metavar="CORPUS", help="training corpus of the recognisers; default the corpus itself"
    )
    parser.add_argument(
        "--limit", type=int, metavar="CLIPS",
        help="at most so many clips per corpus, balanced; default 48 (16 voices x 3 emotions), 0 for all",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, metavar="N", help="seed of every draw; default 0")
    add_many(
        parser, "--checkpoint", "[MODEL=]PATH", "a folder written by `serxai train`, or the file of a foreign model"
    )
    add_many(
        parser, "--retrained", "MODEL=DIR",
        "another training of a model, a folder written by `serxai train`, tried on ladders of truth beside the models"
    )  # fmt: skip
    add_trust(parser)
    add_data_root(parser)
    parser.add_argument(
        "--out",
        type=nonempty_path,
        metavar="DIR",
        help="folder to write to; default runs/qualify, or the next free one",
    )
    parser.add_argument(
        "--resume", action="store_true",
        help="continue the qualification in --out with its own settings, but for a file or flags given now; only "
        "clips and metrics that are new or have another version are computed",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: the cores of this machine")
    parser.add_argument("--device", default="cpu", metavar="cpu|cuda", help="where the recogniser runs; default cpu")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be computed, and what it costs")
    parser.add_argument("--json", action="store_true", help="print verdicts and estimates as JSON instead of a table")


def _explain(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "explain",
        "explain audio files",
        ".explain:run",
        """
        serxai explain FILE.wav --model cnn --method saliency --method emolime --out out/
        serxai explain *.wav --method emolime --param emolime.alpha=0.1 --fill noise --out out/
        serxai explain FILE.wav --method emolime --target anger
        serxai explain FILE.wav --method beyond-saliency --param beyond-saliency.base=crp
        """,
        "explain",
    )
    parser.add_argument(
        "audio", nargs="+", type=nonempty_path, metavar="AUDIO", help="files libsndfile reads, each at most 60 s"
    )
    parser.add_argument("--model", default="cnn", metavar="N", help="recogniser; default cnn")
    parser.add_argument(
        "--checkpoint",
        type=nonempty_path,
        metavar="PATH",
        help="folder written by `serxai train`, or a foreign model's file",
    )
    add_trust(parser)
    parser.add_argument(
        "--trained-on",
        metavar="CORPUS",
        help="training corpus of the model; default emodb, real speech (cnn bundled)",
    )
    add_ensemble(parser, False)
    add_many(parser, "--method", "N", "explanation method; default saliency, emolime and beyond-saliency")
    add_param(parser)
    parser.add_argument(
        "--target",
        default="predicted",
        metavar="EMOTION|A-B",
        help="class to explain, or A-B: why A rather than B; default the predicted one",
    )
    parser.add_argument(
        "--fill",
        metavar="N",
        help="what replaces removed parts, for methods that explain against a fill; see: serxai ls fills",
    )
    parser.add_argument("--device", default="cpu", metavar="cpu|cuda", help="where the recogniser runs; default cpu")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of every draw; default 0")
    add_data_root(parser)
    parser.add_argument("--out", type=nonempty_path, default=Path("out"), metavar="DIR", help="default out")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _score(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "score",
        "score maps or statements that were made elsewhere",
        ".score:score",
        """
        serxai score maps/ --model cnn --corpus emodb --data-root DIR
        serxai score maps/ --model cnn --corpus emodb --metric abpc --metric deletion --method saliency
        serxai score --statements FILE.csv --model cnn --corpus emodb --data-root DIR
        """,
        "score",
    )
    parser.add_argument(
        "maps", nargs="?", type=nonempty_path, metavar="MAPS",
        help="folder with manifest.csv or manifest.json; see docs/maps.md",
    )  # fmt: skip
    parser.add_argument(
        "--statements", type=nonempty_path, metavar="FILE.csv",
        help="explanations in words instead: clip, cue, direction; see docs/statements.md",
    )  # fmt: skip
    parser.add_argument("--corpus", metavar="N", help="corpus of the clips; default what the manifest says")
    parser.add_argument("--model", metavar="N", help="recogniser that was explained; default what the manifest says")
    add_many(parser, "--method", "N", "method of serxai to compare with, beside random and energy")
    add_many(parser, "--metric", "N", "metric, `all` or `core`; default those of preset quick")
    add_many(parser, "--condition", "N", "distribution shift; default those that there are maps of")
    add_many(parser, "--emotion", "N", "score only clips of this emotion")
    add_many(parser, "--fill", "N", "what replaces removed parts; default: the first with reach")
    parser.add_argument("--target", metavar="predicted|true|EMOTION", help="class explained; default predicted")
    parser.add_argument("--trained-on", metavar="CORPUS", help="training corpus of the model; default the corpus")
    add_many(parser, "--checkpoint", "[MODEL=]PATH", "a folder written by `serxai train`, or a foreign model's file")
    add_trust(parser)
    add_data_root(parser)
    parser.add_argument("--repeats", type=int, metavar="N", help="seeds that are scored; default 1")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of every draw; default 0")
    parser.add_argument("--limit", type=int, metavar="CLIPS", help="at most so many clips; default all with a map")
    parser.add_argument("--out", type=nonempty_path, metavar="DIR", help="run folder; default runs/score or the next")
    parser.add_argument("--resume", action="store_true", help="continue in --out; only maps that changed are scored")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: the cores of this machine")
    parser.add_argument("--device", default="cpu", metavar="cpu|cuda", help="where the recogniser runs; default cpu")
    parser.add_argument("--json", action="store_true", help="print the leaderboard as JSON instead of a table")


def _train(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "train",
        "train a recogniser in speaker-grouped folds",
        ".train:run",
        """
        serxai train cnn --corpus emodb --data-root DIR --out models/emodb
        serxai train cnn --corpus planted --out models/planted
        serxai train hf:PATH --corpus emodb --data-root DIR --layer 2 --pooling mean --out models/hf
        serxai train --config RUN.toml
        serxai train praat-svc --corpus emodb --folds 10 --folds emobox --folds-root EmoBox --out models/praat
        """,
        "train",
    )
    parser.add_argument("model", nargs="?", metavar="MODEL", help="see: serxai ls models; default: that of --config")
    parser.add_argument("--corpus", metavar="N", help="training corpus; see: serxai ls corpora")
    parser.add_argument(
        "--config", type=nonempty_path, metavar="RUN.toml",
        help="configuration of a run: trains what the run would; gives model, corpus, layer and pooling, which flags "
        "override",
    )  # fmt: skip
    add_data_root(parser)
    parser.add_argument(
        "--out", type=nonempty_path, metavar="DIR", help="folder to write the models to; default: the cache of `run`"
    )
    add_many(
        parser, "--emotion", "N", "emotion class to train on; default the four common ones, if the corpus has them"
    )
    add_many(
        parser, "--dimension", "NAME", "column with dimensional labels to predict instead of classes: arousal, ..."
    )
    add_many(
        parser,
        "--folds",
        "N|speaker|emobox|FILE.json",
        "folds: a number of speaker-grouped ones (speaker: 5, the default), EmoBox's, or a scheme's file; of several "
        "the speaker-grouped models are kept, and the scores of all are printed",
    )
    parser.add_argument("--folds-root", type=nonempty_path, metavar="DIR", help="clone of EmoBox, or schemes' folder")
    parser.add_argument(
        "--width", type=int, metavar="N", help="channels of the first layer; default depends on the corpus"
    )
    parser.add_argument(
        "--layer",
        metavar="N|auto|weighted|last",
        help="hidden state of a Hugging Face backbone, 0 to its layers; auto: chosen by speaker-grouped validation; "
        "weighted: a learned sum of all; default auto",
    )
    parser.add_argument(
        "--pooling", choices=("mean", "mean+sd"), help="statistics over time of the hidden state; default mean+sd"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of weights and batches; default 0")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: the cores of this machine")


def _transfer(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "transfer",
        "train on each corpus, test on each, as a heat map",
        ".transfer:run",
        "serxai transfer opensmile-svc --corpus emodb --corpus ravdess --data-root DIR --out transfer",
        "transfer",
    )
    parser.add_argument("model", metavar="MODEL", help="see: serxai ls models")
    add_many(parser, "--corpus", "N", "corpus to train and test on, two or more")
    add_data_root(parser)
    parser.add_argument("--out", type=nonempty_path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _corpus(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "corpus",
        "verify a corpus, probe it for shortcuts, measure its cues, check what was planted, or fetch it",
        "",
        """
        serxai corpus verify emodb --data-root DIR
        serxai corpus probe tess --data-root DIR --out probes
        serxai corpus cues emodb --data-root DIR --cue f0_level
        serxai corpus fetch emodb --data-root DIR
        """,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    verify = add_command(
        actions,
        "verify",
        "check presence, counts, checksums, sound of a corpus' files",
        ".corpus:verify",
        """
        serxai corpus verify emodb --data-root DIR
        serxai corpus verify tess --json
        """,
        "corpus",
    )
    probe = add_command(
        actions,
        "probe",
        "report how well duration, padding, level or silence alone predict the label",
        ".probe:probe",
        "serxai corpus probe tess --data-root DIR --out probes",
        "corpus",
    )
    cues = add_command(
        actions,
        "cues",
        "measure what each emotion does to acoustic cues, against the speaker's own neutral clips",
        ".corpus_cues:cues",
        """
        serxai corpus cues emodb --data-root DIR
        serxai corpus cues tess --data-root DIR --cue f0_level --cue hnr --json
        """,
        "corpus",
    )
    add_many(cues, "--cue", "N", "acoustic cue; see: serxai ls cues; default seven of them")
    planted = add_command(
        actions,
        "planted",
        "check that planted cues are there, and that recognisers rely on them",
        ".corpus_planted:planted",
        """
        serxai corpus planted planted
        serxai corpus planted planted-emodb --data-root DIR --model cnn
        serxai corpus planted planted-emodb --model cnn --model praat-svc --checkpoint cnn=models/cnn
        """,
        "corpus",
    )
    fetch = add_command(
        actions,
        "fetch",
        "fetch a public corpus through audb (extra)",
        ".fetch:fetch",
        "serxai corpus fetch emodb --data-root DIR",
        "corpus",
    )
    for action in (verify, probe, cues, planted, fetch):
        action.add_argument("name", metavar="NAME", help="see: serxai ls corpora")
        add_data_root(action)
        action.add_argument("--json", action="store_true", help="print JSON")
    add_many(planted, "--model", "N", "recogniser; default cnn")
    planted.add_argument(
        "--trained-on",
        metavar="CORPUS",
        help="training corpus of the model; default the corpus, for synthetic ones planted",
    )
    add_many(planted, "--checkpoint", "[MODEL=]DIR", "folder written by serxai train")
    for action in (cues, planted):
        action.add_argument("--limit", type=int, metavar="CLIPS", help="at most so many clips, balanced; default all")
    probe.add_argument(
        "--out", type=nonempty_path, metavar="DIR", help="also write the report as CSV, JSON and picture"
    )


def _reproduce(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "reproduce",
        "set the reproduced papers' recipes beside what their authors' programs gave",
        "",
        """
        serxai reproduce emolime --data-root DIR
        serxai reproduce beyond-saliency --data-root DIR --checkpoint best_model_tess.pth
        """,
    )
    actions = parser.add_subparsers(dest="paper", required=True, metavar="PAPER")
    emolime = add_command(
        actions,
        "emolime",
        "compare band weights on black boxes with known weights (7 clips of emodb and ravdess)",
        ".reproduce:emolime",
        "serxai reproduce emolime --data-root DIR --limit 1",
    )
    beyond = add_command(
        actions,
        "beyond-saliency",
        "compare maps, windows and cues of both halves (8 clips of tess)",
        ".reproduce:beyond_saliency",
        "serxai reproduce beyond-saliency --data-root DIR --checkpoint best_model_tess.pth",
    )
    beyond.add_argument(
        "--checkpoint", type=Path, required=True, metavar="FILE", help="the authors' best_model_tess.pth"
    )
    beyond.add_argument(
        "--without-occlusion", action="store_true", help="leave out the occlusion half, 13 s of a core for each clip"
    )
    for action in (emolime, beyond):
        add_data_root(action)
        action.add_argument("--limit", type=int, default=0, metavar="CLIPS", help="only the first clips; default all")
        action.add_argument("--out", type=Path, metavar="DIR", help="also write the numbers as CSV")


COMMANDS = (
    _run,
    _qualify,
    _explain,
    _score,
    _train,
    _transfer,
    _corpus,
    _reproduce,
)
