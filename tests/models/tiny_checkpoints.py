"""Tiny random Hugging Face checkpoints, written to a folder by the tests; nothing is fetched.

Each function ``write_NAME(folder, seed=0, **options)`` writes weights, configuration and feature extractor as
`save_pretrained` does, and returns the folder. `options` override entries of the configuration; ``labels`` (dict of int
to str) names the classes of a classifier. Without ``classifier=True`` a checkpoint is a backbone.

`WRITERS` holds the backbones by short name: wav2vec2, hubert, wavlm, whisper, ast, w2v-bert.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from serxai import _torchvision  # noqa: F401  (before transformers)

LABELS = {0: "ang", 1: "Happy", 2: "NEUTRAL", 3: "sad"}
WIDTH = 16  # of a hidden state, all architectures
LAYERS = 3  # transformer layers; there is one more hidden state

WAVEFORM: dict[str, Any] = {
    "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": 20,
    "conv_dim": (8, 8), "conv_kernel": (10, 3), "conv_stride": (5, 2), "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "classifier_proj_size": 8,
    "initializer_range": 0.3, "vocab_size": 8,
}  # fmt: skip
WHISPER: dict[str, Any] = {
    "d_model": WIDTH, "encoder_layers": LAYERS, "encoder_attention_heads": 2, "encoder_ffn_dim": 20,
    "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 20, "num_mel_bins": 80, "vocab_size": 12,
    "max_source_positions": 1500, "max_target_positions": 8, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    "decoder_start_token_id": 3, "begin_suppress_tokens": None, "classifier_proj_size": 8, "init_std": 0.2,
}  # fmt: skip
AST: dict[str, Any] = {
    "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": 20,
    "patch_size": 16, "frequency_stride": 16, "time_stride": 16, "max_length": 256, "num_mel_bins": 64,
    "initializer_range": 0.2,
}  # fmt: skip
W2V_BERT: dict[str, Any] = {
    "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": 20,
    "feature_projection_input_dim": 160, "conv_depthwise_kernel_size": 5, "left_max_position_embeddings": 8,
    "right_max_position_embeddings": 2, "classifier_proj_size": 8, "initializer_range": 0.2, "vocab_size": 8,
    "output_hidden_size": WIDTH,
}  # fmt: skip


def noise(n: int, n_samples: int = 4000, seed: int = 0) -> np.ndarray:
    """White noise about a small offset, shape (n, n_samples), float32."""
    generator = np.random.default_rng(seed)
    return (0.1 * generator.standard_normal((n, n_samples)) + 0.02).astype(np.float32)


def speech_like(n_samples: int = 16_000, seed: int = 0) -> np.ndarray:
    """Harmonic tone that glides and pauses, over faint noise, peak about .5, shape (n_samples,), float32."""
    generator = np.random.default_rng(seed)
    t = np.arange(n_samples) / 16_000
    pitch = 120 + 60 * generator.random() + 25 * np.sin(2 * np.pi * 1.3 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / 16_000
    voice = sum(np.sin(k * phase) / k**1.2 for k in range(1, 25))
    envelope = np.clip(np.sin(2 * np.pi * 2.2 * t + generator.random()), 0, None)
    return (0.25 * voice * envelope + 1e-4 * generator.standard_normal(n_samples)).astype(np.float32)


def write_wav2vec2(folder: Path, seed: int = 0, *, classifier: bool = False, **options: Any) -> Path:
    """wav2vec 2.0 on plain waveforms."""
    return _write_waveform(folder, "Wav2Vec2", seed, classifier, options)


def write_hubert(folder: Path, seed: int = 0, *, classifier: bool = False, **options: Any) -> Path:
    """HuBERT on plain waveforms."""
    return _write_waveform(folder, "Hubert", seed, classifier, options)


def write_wavlm(folder: Path, seed: int = 0, *, classifier: bool = False, **options: Any) -> Path:
    """WavLM on plain waveforms, with its gated relative position bias."""
    return _write_waveform(folder, "WavLM", seed, classifier, options)


def write_whisper(
    folder: Path, seed: int = 0, *, classifier: bool = False, generation: bool = False, **options: Any
) -> Path:
    """Whisper: encoder and decoder, with ``generation=True`` its language-modelling head too."""
    import transformers

    kind = "ForAudioClassification" if classifier else "ForConditionalGeneration" if generation else "Model"
    front = transformers.WhisperFeatureExtractor(feature_size=options.get("num_mel_bins", 80))
    return _write(folder, "Whisper", kind, WHISPER, seed, options, front, prefix=("conv", "embed_positions"))


def write_whisper_classifier(folder: Path, seed: int = 0, **options: Any) -> Path:
    """`WhisperForAudioClassification`."""
    return write_whisper(folder, seed, classifier=True, **options)


def write_ast(folder: Path, seed: int = 0, *, classifier: bool = False, **options: Any) -> Path:
    """Audio spectrogram transformer, of 256 frames instead of 1,024."""
    import transformers

    settings = AST | options
    front = transformers.ASTFeatureExtractor(num_mel_bins=settings["num_mel_bins"], max_length=settings["max_length"])
    kind = "ForAudioClassification" if classifier else "Model"
    return _write(folder, "AST", kind, AST, seed, options, front, prefix=("position_embeddings", "_token"))


def write_ast_classifier(folder: Path, seed: int = 0, **options: Any) -> Path:
    """`ASTForAudioClassification`."""
    return write_ast(folder, seed, classifier=True, **options)


def write_w2v_bert(folder: Path, seed: int = 0, *, classifier: bool = False, **options: Any) -> Path:
    """W2V-BERT 2.0 on the stacked log-mel frames of SeamlessM4T."""
    import transformers

    kind = "ForSequenceClassification" if classifier else "Model"
    return _write(folder, "Wav2Vec2Bert", kind, W2V_BERT, seed, options, transformers.SeamlessM4TFeatureExtractor())


WRITERS: dict[str, Callable[..., Path]] = {
    "wav2vec2": write_wav2vec2,
    "hubert": write_hubert,
    "wavlm": write_wavlm,
    "whisper": write_whisper,
    "ast": write_ast,
    "w2v-bert": write_w2v_bert,
}


def _write_waveform(folder: Path, family: str, seed: int, classifier: bool, options: dict[str, Any]) -> Path:
    import transformers

    options = dict(options)
    front = transformers.Wav2Vec2FeatureExtractor(
        return_attention_mask=False,
        do_normalize=options.pop("do_normalize", True),
        sampling_rate=options.pop("sampling_rate", 16_000),
    )
    kind = "ForSequenceClassification" if classifier else "Model"
    return _write(folder, family, kind, WAVEFORM, seed, options, front)


def _write(
    folder: Path,
    family: str,
    kind: str,
    defaults: dict[str, Any],
    seed: int,
    options: dict[str, Any],
    front: Any,
    prefix: tuple[str, ...] = (),
) -> Path:
    """Write a model and its feature extractor; parameters named in `prefix`, which start at 0, become random."""
    import transformers

    options = dict(options)
    labels = options.pop("labels", LABELS)
    named = {"id2label": labels, "label2id": {label: i for i, label in labels.items()}}
    config = getattr(transformers, f"{family}Config")(**(defaults | named | options))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        model = getattr(transformers, f"{family}{kind}")(config)
        for name, tensor in model.named_parameters():
            if any(part in name for part in prefix) or name.endswith("bias"):
                tensor.copy_(0.1 * torch.randn(tensor.shape))
    model.save_pretrained(folder)
    front.save_pretrained(folder)
    return folder
