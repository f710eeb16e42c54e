"""openSMILE feature extractor: the functionals of ComParE_2016 (6,373) or eGeMAPSv02 (88), computed in memory.

openSMILE's licence allows private, research and educational use only, no commercial one, although its package on PyPI
says MIT; it is therefore an optional extra, imported on use.

Two differences from ``opensmile.Smile``: samples are rounded and clipped to 16 bit, where
openSMILE truncates and lets a sample of 1.0 wrap round to -1.0; and the configuration is parsed once a thread and reset
between waveforms, with identical results in 80 % of the time. openSMILE releases the GIL, so threads use all cores.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..audio import SAMPLE_RATE
from ..errors import ClipError, InputError
from ..keys import digest
from .extractor import Extractor

SETS = ("ComParE_2016", "eGeMAPSv02")
MIN_SAMPLES = 1600  # 100 ms; below 60 ms openSMILE gives nothing, F0 windows


class OpenSmile(Extractor):
    """Functionals of a feature set of openSMILE.

    Functionals that are not finite (for example of an empty contour) are set to 0, as openSMILE does for the pitch of
    an unvoiced clip.

    Parameters
    ----------
    feature_set : {'ComParE_2016', 'eGeMAPSv02'}
        Schuller et al. 2016 (6,373 functionals); Eyben et al. 2016 (88).
    n_jobs : int, optional
        Threads. Default: as many as torch may use (1 in the workers of a run), so that workers do not get in each
        other's way. The features do not depend on it.

    Raises
    ------
    InputError
        For another feature set, or if openSMILE is not installed.
    """

    def __init__(self, feature_set: str = "ComParE_2016", n_jobs: int | None = None) -> None:
        if feature_set not in SETS:
            raise InputError(f"openSMILE feature set {feature_set!r}: choose {' or '.join(SETS)}.")
        if n_jobs is not None and n_jobs < 1:
            raise InputError(f"n_jobs={n_jobs}: openSMILE needs at least one thread.")
        try:
            import opensmile
        except ImportError:
            raise InputError(
                "model 'opensmile-svc' needs openSMILE: pip install 'serxai[opensmile]' (its licence forbids "
                "commercial use)."
            ) from None
        self.params: dict[str, Any] = {"feature_set": feature_set}
        self.n_jobs = n_jobs
        self.min_samples = MIN_SAMPLES
        self.fingerprint = digest("openSMILE", opensmile.__version__, feature_set, "rounded", MIN_SAMPLES)
        self._smile = opensmile.Smile(getattr(opensmile.FeatureSet, feature_set), opensmile.FeatureLevel.Functionals)
        self._idle: list[Any] = []  # openSMILE's machines, each used by one thread at a time
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """openSMILE's names of the features."""
        return tuple(self._smile.feature_names)

    def features(self, waveforms: np.ndarray) -> np.ndarray:
        """Functionals of each waveform, float64 (n, 6373 or 88); see `Extractor.features`."""
        import torch

        n_jobs = min(torch.get_num_threads() if self.n_jobs is None else self.n_jobs, len(waveforms))
        if n_jobs <= 1:
            rows = [self._functionals(samples) for samples in waveforms]
        else:
            with ThreadPoolExecutor(n_jobs) as pool:
                rows = list(pool.map(self._functionals, waveforms))
        features = np.array(rows, dtype=np.float64).reshape(len(waveforms), len(self.names))
        return np.nan_to_num(features, nan=0.0, posinf=0.0, neginf=0.0)

    def _functionals(self, samples: np.ndarray) -> np.ndarray:
        from opensmile.core.config import config

        if len(samples) < self.min_samples:
            raise ClipError(f"{len(samples)} samples are shorter than openSMILE's shortest, {self.min_samples}.")
        if not np.all(np.isfinite(samples)):
            raise ClipError("the waveform holds NaN or infinite samples.")
        pcm = np.clip(np.round(np.asarray(samples, dtype=np.float64) * 32768), -32768, 32767).astype("<i2")
        outputs: list[np.ndarray] = []
        with self._machine() as machine:
            machine.external_sink_set_callback_ex(
                config.EXTERNAL_OUTPUT_COMPONENT, lambda values, meta: outputs.append(np.array(values))
            )
            if not machine.external_audio_source_write_data(config.EXTERNAL_SOURCE_COMPONENT, pcm.tobytes()):
                raise ClipError(f"{len(samples) / SAMPLE_RATE:.0f} s are more than openSMILE takes at once.")
            machine.external_audio_source_set_eoi(config.EXTERNAL_SOURCE_COMPONENT)
            machine.run()
        if len(outputs) != 1:
            raise ClipError("openSMILE returned no functionals of the waveform.")
        return outputs[0].ravel()

    @contextmanager
    def _machine(self) -> Iterator[Any]:
        """One of openSMILE's machines, for this thread alone; after a failure it is thrown away."""
        from opensmile.core.config import config

        with self._lock:
            machine = self._idle.pop() if self._idle else None
        if machine is None:
            root = self._smile.default_config_root
            options = self._smile._options() | {
                "source": os.path.join(root, config.EXTERNAL_INPUT_CONFIG),  # noqa: PTH118
                "sampleRate": SAMPLE_RATE,
                "nBits": 16,
            }
            machine = self._smile._smile(options)
        try:
            yield machine
            machine.reset()
            machine._callbacks.clear()  # it keeps those of every run
        except BaseException:
            machine.free()
            raise
        with self._lock:
            self._idle.append(machine)

    def __getstate__(self) -> dict[str, Any]:
        return self.params | {"n_jobs": self.n_jobs}  # machines of C stay where they are

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


def egemaps(**params: Any) -> OpenSmile:
    """Build the extractor of eGeMAPSv02; see `OpenSmile`."""
    return OpenSmile(**{"feature_set": "eGeMAPSv02"} | params)
