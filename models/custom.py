"""User-supplied recognisers: ``python:MODULE:FACTORY`` and ``onnx:FILE``.

Python
------
``MODULE`` is imported from the current folder or PYTHONPATH and ``FACTORY()`` called (``FACTORY(path)`` with
``--checkpoint PATH``). This runs the user's code: naming a module is the permission to run it, and no other module is
run. What the factory returns takes waveforms, float32 (n, n_samples) at 16 kHz, copies of one clip, and is one of

- a torch module that returns logits of a softmax, (n, n_classes), or an object with such ``logits``; gradients flow
  through it, else it is a black box;
- a scikit-learn estimator or pipeline: ``predict_proba`` and ``classes_``;
- any other callable that returns probabilities, (n, n_classes);
- a `Recogniser`, used as it is.

Optional attributes of the object:

========== ============================================================================================================
classes     names of the columns; needed unless there is ``classes_``. Spellings of emotions become the common taxonomy
            (`datasets.labels`), others stay classes of their own name
outputs     ``"probabilities"`` (default of a callable; they are normalised to a sum of 1), ``"logits"`` (default of a
            torch module) or ``"regression"``
dimensions  names of the columns of a regression, such as arousal, valence, dominance; says ``outputs = "regression"``
min_samples shortest waveform it takes; default 1
sample_rate if given, must be 16000; waveforms are not resampled
trained_on  corpus; unknown by default
fingerprint string that changes with the model; default: digest of the module's source, and of a torch module's weights
========== ============================================================================================================

Each is tried before it is accepted (`models.trial`): copies of a clip must be scored by themselves, the same in each
call, with and without gradient, and at any length.

ONNX
----
One float32 input (n, n_samples), one float output (n, n_classes). ``classes``, ``outputs`` and the rest come from the
model's metadata, or from a JSON file of the same name beside it (``mine.onnx``, ``mine.json``), which wins. No code of
the file is run.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ..audio import SAMPLE_RATE
from ..datasets.corpus import TAXONOMY
from ..datasets.labels import class_names
from ..errors import ClipError, InputError
from ..keys import digest
from .dimensional import REGRESSION, dimension_names
from .probe_clips import probe_clips
from .recogniser import BATCH, Recogniser, one_vs_rest
from .returned import LOGITS, PROBABILITIES, SMALLEST, Returned
from .trial import CLOSE, COARSE, accepted

if TYPE_CHECKING:
    from .record import ModelRecord

PROBE_SAMPLES = SAMPLE_RATE  # of the sounds that tell a function's state
OUTPUTS = (PROBABILITIES, LOGITS, REGRESSION)


@dataclass(frozen=True)
class ModelFacts:
    """Declared facts of a user-supplied model; see the module docstring.

    Raises
    ------
    InputError
        If something is missing or not allowed.
    """

    name: str
    classes: tuple[str, ...]
    outputs: str = "probabilities"
    min_samples: int = 1
    sample_rate: int = SAMPLE_RATE
    trained_on: str = ""

    def __post_init__(self) -> None:
        if self.outputs == REGRESSION:
            advice = "name them in the order of its columns, as 'dimensions'"
            object.__setattr__(self, "classes", dimension_names(self.classes, f"model {self.name!r}", advice))
            self._check_numbers()
            return
        if len(self.classes) < 2:
            raise InputError(
                f"model {self.name!r} does not name its classes: give at least 2 in the order of its columns, as "
                f"'classes', from {', '.join(TAXONOMY)}."
            )
        named = class_names(self.classes, f"model {self.name!r}", "name them in the order of its columns, as 'classes'")
        object.__setattr__(self, "classes", named)
        if self.outputs not in OUTPUTS:
            raise InputError(f"model {self.name!r}: outputs {self.outputs!r}; choose {' or '.join(OUTPUTS)}.")
        self._check_numbers()

    def _check_numbers(self) -> None:
        if self.sample_rate != SAMPLE_RATE:
            raise InputError(
                f"model {self.name!r} wants {self.sample_rate} Hz; serxai gives {SAMPLE_RATE} Hz. Resample inside the "
                f"model and let it say {SAMPLE_RATE}."
            )
        if self.min_samples < 1:
            raise InputError(f"model {self.name!r}: min_samples is {self.min_samples}; it must be 1 or more.")

    @classmethod
    def read(cls, name: str, metadata: Mapping[str, Any]) -> ModelFacts:
        """Parse attributes or metadata; numbers may be given as text."""
        given = {key: metadata[key] for key in ("outputs", "trained_on") if key in metadata}
        for key in ("min_samples", "sample_rate"):
            if key in metadata:
                try:
                    given[key] = int(metadata[key])
                except (TypeError, ValueError):
                    raise InputError(
                        f"model {name!r}: {key} is {metadata[key]!r}; it must be a whole number."
                    ) from None
        classes = metadata.get("classes", ())
        if "dimensions" in metadata:
            if given.setdefault("outputs", REGRESSION) != REGRESSION:
                raise InputError(
                    f"model {name!r} names 'dimensions', but says outputs = {given['outputs']!r}; let it say "
                    f"outputs = {REGRESSION!r}, or name 'classes'."
                )
            classes = metadata["dimensions"]
        if isinstance(classes, str):
            classes = [part.strip() for part in classes.split(",") if part.strip()]
        if not isinstance(classes, list | tuple | np.ndarray):
            raise InputError(f"model {name!r}: 'classes' is {type(classes).__name__}; give a list of names.")
        return cls(name, tuple(map(str, classes)), **given)


class CustomRecogniser(Recogniser):
    """Black-box recogniser: a function of waveforms, not differentiable.

    Copies run in batches of one shape, the last one filled up with its last copy.

    Parameters
    ----------
    facts : ModelFacts
    function : callable
        float32 (n, n_samples) -> (n, n_classes), probabilities or logits as `facts` says.
    fingerprint : str
    batch : int, optional
        The only number of copies it takes, if there is one: a single copy is filled up to it as well.
    n_samples : int, optional
        The only length it takes, if there is one.
    """

    def __init__(
        self,
        facts: ModelFacts,
        function: Callable[[np.ndarray], Any],
        fingerprint: str,
        batch: int | None = None,
        n_samples: int | None = None,
    ) -> None:
        self.name, self.classes, self.trained_on = facts.name, facts.classes, facts.trained_on
        self.min_samples = facts.min_samples if n_samples is None else n_samples
        self.outputs = facts.outputs
        self.regression = facts.outputs == REGRESSION
        self.fingerprint = fingerprint
        self.fixed_batch = batch is not None
        self.batch = BATCH if batch is None else batch
        self.n_samples = n_samples
        self._function = function

    def calls_for(self, n: int) -> int:
        """See `Recogniser.calls_for`."""
        return -(-n // self.batch) * self.batch if self.fixed_batch else super().calls_for(n)

    def raw(self, waveforms: np.ndarray | torch.Tensor) -> np.ndarray:
        """Outputs of the function, checked but not normalised, float64 (n, n_classes).

        Raises
        ------
        InputError
            For another shape; for probabilities below 0 or above 1.
        ClipError
            As `log_odds`; for values that are not finite; for probabilities that are all 0.
        """
        given = self.checked(waveforms).cpu().numpy()
        if self.n_samples not in (None, given.shape[1]):
            raise ClipError(f"{given.shape[1]} samples; model {self.name!r} takes exactly {self.n_samples}.")
        out = [np.empty((0, len(self.classes)))]
        size = 1 if len(given) == 1 and not self.fixed_batch else self.batch
        for start in range(0, len(given), size):
            rows = given[start : start + size]
            filled = np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])
            self.calls += size
            with self.metered():
                returned = self._function(filled)
            out.append(self._values(returned, size)[: len(rows)])
        return np.concatenate(out)

    def _values(self, returned: Any, n: int) -> np.ndarray:
        try:
            array = returned.detach().cpu() if isinstance(returned, torch.Tensor) else returned
            values = np.asarray(array, dtype=np.float64)
            if self.regression and values.shape == (n,) and len(self.classes) == 1:
                values = values[:, None]
        except (TypeError, ValueError):
            raise InputError(
                f"model {self.name!r} returned {type(returned).__name__}, not an array (n, n_classes)."
            ) from None
        if values.shape != (n, len(self.classes)):
            raise InputError(
                f"model {self.name!r} returned shape {values.shape} for {n} waveforms; its {len(self.classes)} classes "
                f"({', '.join(self.classes)}) need {(n, len(self.classes))}."
            )
        if not np.all(np.isfinite(values)):
            raise ClipError(f"model {self.name!r} returned {self.outputs} that are not finite.")
        if self.outputs == "probabilities":
            if values.min() < 0 or values.max() > 1 + 1e-6:
                raise InputError(
                    f"model {self.name!r} returned values from {values.min():.3g} to {values.max():.3g}, which are no "
                    "probabilities; if they are logits, let it say outputs = 'logits'."
                )
            if (values.sum(axis=1) <= 0).any():
                raise ClipError(f"model {self.name!r} returned probabilities that are all 0.")
        return values

    def log_odds(self, waveforms: np.ndarray | torch.Tensor) -> np.ndarray:
        """Log-odds of the probabilities normalised to a sum of 1; see `Recogniser.log_odds`.

        Probabilities below 1e-7 count as 1e-7.
        """
        values = torch.from_numpy(self.raw(waveforms))
        if self.regression:
            return values.numpy()
        return one_vs_rest(values.clamp_min(SMALLEST).log() if self.outputs == "probabilities" else values).numpy()

    def _raw_log_odds(self, waveforms: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.log_odds(waveforms))


def load_python(record: ModelRecord, checkpoint: Path | None, trust: bool, device: str) -> Recogniser:
    """Load ``python:MODULE:FACTORY``; the module's code runs.

    Parameters
    ----------
    record : ModelRecord
    checkpoint : path, optional
        Passed to the factory.
    trust : bool
        Not used: naming the module is the permission to run it.
    device : str
        Where a torch module goes.

    Raises
    ------
    InputError
        If there is no such module or factory, or what it returns is no recogniser.
    """
    module_name, _, factory_name = record.argument.partition(":")
    if not module_name or not factory_name:
        raise InputError(f"model {record.name!r}: write python:MODULE:FACTORY, such as python:mymodels:make.")
    from .. import _torchvision  # noqa: F401  (before the module, which may import transformers)

    module = _import(record.name, module_name)
    factory = getattr(module, factory_name, None)
    if not callable(factory):
        raise InputError(f"model {record.name!r}: module {module_name!r} has no function {factory_name!r}.")
    try:
        model = factory() if checkpoint is None else factory(Path(checkpoint))
    except Exception as error:  # whatever the user's code raises
        raise InputError(f"model {record.name!r}: its factory failed: {type(error).__name__}: {error}") from error
    weights_digest = "" if checkpoint is None or not Path(checkpoint).is_file() else _sha256(Path(checkpoint))
    identity = "python", record.argument, _source(module), getattr(model, "fingerprint", ""), weights_digest
    return recogniser_of(model, record.name, identity, device, "its factory returned")


def recogniser_of(model: Any, name: str, identity: tuple[str, ...], device: str, told: str) -> Recogniser:
    """Recogniser of a user's object, after its trial.

    Parameters
    ----------
    model : Recogniser, nn.Module, estimator or callable
        See the module docstring.
    name : str
    identity : tuple of str
        What its fingerprint begins with; weights, or outputs on probe clips, are added.
    device : str
        Where a torch module goes.
    told : str
        Start of the message about an object of another kind.

    Raises
    ------
    InputError
        If it is none of these, or does not pass the trial.
    """
    if isinstance(model, Recogniser):
        return accepted(model)
    metadata = {
        key: getattr(model, key)
        for key in ("outputs", "min_samples", "sample_rate", "trained_on", "classes", "dimensions")
        if hasattr(model, key)
    }
    _agreeing_classes(name, metadata, getattr(model, "classes_", None))
    fingerprint = digest(*identity)
    facts = ModelFacts.read(name, metadata)
    if isinstance(model, nn.Module):
        quantised = any(".quantized." in type(part).__module__ for part in model.modules())
        declared = "outputs" in metadata or "dimensions" in metadata
        recogniser = _torch_recogniser(facts, model, fingerprint, device, declared)
        return accepted(recogniser, COARSE if quantised else CLOSE)
    if hasattr(model, "predict_proba"):
        model = model.predict_proba
    elif facts.outputs == REGRESSION and not callable(model) and hasattr(model, "predict"):
        model = model.predict
    if not callable(model):
        raise InputError(
            f"model {name!r}: {told} {type(model).__name__}; it must be a torch module, a scikit-learn estimator with "
            "predict_proba, a function of waveforms, or a serxai Recogniser."
        )
    recogniser = CustomRecogniser(facts, model, fingerprint)
    accepted(recogniser)
    recogniser.fingerprint = digest(fingerprint, _probe_outputs(recogniser))
    return recogniser


def _probe_outputs(recogniser: CustomRecogniser) -> list[list[float]]:
    """Probabilities of fixed probe clips, which tell a function's state that its source does not.

    Rounded to 9 digits where the function returns double precision, else to 4, so that another machine gives the same
    digits; a change below that on every probe is not seen.
    """
    probes = probe_clips(max(PROBE_SAMPLES, recogniser.min_samples))
    exact = getattr(recogniser._function(probes[:1]), "dtype", None) == np.float64
    try:
        scores = recogniser.log_odds(probes)
        probabilities = scores if recogniser.regression else 1 / (1 + np.exp(-scores))
    except ClipError:  # no output where it was asked: its source and checkpoint must do
        return []
    finally:
        recogniser.calls, recogniser.seconds = 0, 0.0
    return [[float(value) + 0.0 for value in row] for row in np.round(probabilities, 9 if exact else 4)]


def _torch_recogniser(
    facts: ModelFacts, module: nn.Module, fingerprint: str, device: str, declared: bool
) -> Recogniser:
    """Recogniser of a user's torch module; its outputs are logits unless it says otherwise."""
    from .waveform import WaveformRecogniser

    outputs = facts.outputs if declared else LOGITS
    parts = [part for name, value in module.state_dict().items() for part in _state(name, value)]
    fingerprint = digest(fingerprint, *parts, *([] if outputs == LOGITS else [outputs]))
    checked = Returned(facts.name, module, len(facts.classes), outputs, declared)
    return WaveformRecogniser(
        facts.name, facts.classes, checked, fingerprint, facts.trained_on, device, facts.min_samples
    )


def _state(name: str, value: Any) -> list[Any]:
    """Name and content of an entry of a state dict; quantised modules hold tuples and types besides tensors."""
    if isinstance(value, torch.Tensor):
        tensor = value.detach().cpu()
        return [name, (tensor.dequantize() if tensor.is_quantized else tensor).float().numpy()]
    if isinstance(value, list | tuple):
        return [part for place, each in enumerate(value) for part in _state(f"{name}.{place}", each)]
    return [name, str(value)]


def _agreeing_classes(name: str, metadata: dict[str, Any], fitted: Any) -> None:
    """Take the classes of a fitted estimator where it names none; refuse names that contradict its own.

    Raises
    ------
    InputError
    """
    if fitted is None:
        return
    given, own = metadata.setdefault("classes", fitted), [str(label) for label in fitted]
    if isinstance(given, str):
        given = [part.strip() for part in given.split(",")]
    named = [str(label) for label in given]
    # labels that are no emotions of the taxonomy are renamed by `classes`, in the same order
    if len(named) != len(own) or (named != own and set(own) <= set(TAXONOMY)):
        raise InputError(
            f"model {name!r}: 'classes' says {', '.join(named)}, but its columns are 'classes_': {', '.join(own)}. "
            "Name them in that order, or leave 'classes' out."
        )


def _import(name: str, module: str) -> Any:
    """Import a module, from the current folder first, as ``python -m`` does."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        importlib.invalidate_caches()
        return importlib.import_module(module)
    except Exception as error:  # whatever the user's code raises
        raise InputError(
            f"model {name!r}: module {module!r} cannot be imported from {here} or PYTHONPATH: "
            f"{type(error).__name__}: {error}"
        ) from error
    finally:
        if here in sys.path:
            sys.path.remove(here)


def _source(module: Any) -> str:
    try:
        return inspect.getsource(module)
    except (OSError, TypeError):
        return ""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_onnx(record: ModelRecord, checkpoint: Path | None, trust: bool, device: str) -> Recogniser:
    """Load ``onnx:FILE``.

    Parameters
    ----------
    record : ModelRecord
    checkpoint : path, optional
        The file, if not in the name.
    trust : bool
        Not needed: an ONNX file holds no code of its own.
    device : str
        ``cuda`` where onnxruntime has it.

    Raises
    ------
    InputError
        If the file is missing, not an ONNX model, has other inputs or outputs, or lacks classes.
    """
    path = Path(record.argument or checkpoint or "")
    if not path.is_file():
        raise InputError(f"model {record.name!r}: no file {str(path)!r}; write onnx:FILE.")
    try:
        import onnxruntime
    except ImportError:
        raise InputError("models 'onnx:FILE' need onnxruntime: pip install 'serxai[onnx]'.") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    wanted = ["CUDAExecutionProvider"] * str(device).startswith("cuda") + ["CPUExecutionProvider"]
    providers = [provider for provider in wanted if provider in onnxruntime.get_available_providers()]
    try:
        session = onnxruntime.InferenceSession(os.fspath(path), options, providers=providers)
    except Exception as error:  # onnxruntime's errors have no common base but this one
        raise InputError(
            f"{path}: onnxruntime cannot load it, {str(error).splitlines()[0]}; export the model to ONNX again."
        ) from None
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 2:
        described = ", ".join(f"{put.name} {put.type} {put.shape}" for put in inputs) or "none"
        raise InputError(f"{path}: the model must take one float32 input (n, n_samples); it takes {described}.")
    outputs = [put for put in session.get_outputs() if put.type == "tensor(float)" and len(put.shape) == 2]
    if len(outputs) != 1:
        described = ", ".join(f"{put.name} {put.type} {put.shape}" for put in session.get_outputs())
        raise InputError(f"{path}: the model must return one float32 output (n, n_classes); it returns {described}.")
    metadata = dict(session.get_modelmeta().custom_metadata_map) | _sidecar(path)
    n, n_samples = (size if isinstance(size, int) and size > 0 else None for size in inputs[0].shape)
    return accepted(
        CustomRecogniser(
            ModelFacts.read(record.name, metadata),
            lambda waveforms: session.run([outputs[0].name], {inputs[0].name: waveforms})[0],
            digest("onnx", _sha256(path), sorted(metadata.items())),
            n,
            n_samples,
        )
    )


def _sidecar(path: Path) -> dict[str, Any]:
    """Metadata of the JSON file beside the model; empty where there is none."""
    sidecar = path.with_suffix(".json")
    if not sidecar.is_file():
        return {}
    try:
        metadata = json.loads(sidecar.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{sidecar}: not a JSON file ({error}).") from None
    if not isinstance(metadata, dict):
        raise InputError(f"{sidecar}: holds {type(metadata).__name__}; it must hold an object with 'classes'.")
    return metadata
