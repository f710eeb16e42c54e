"""Process-level helpers: environment, lifetime, heap and memory."""

from __future__ import annotations

import ctypes
import os
import pickle
import resource
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

from ..._lifetime import die_with_parent
from ...registry import PluginWarning


def use_one_thread() -> None:
    """Have torch use one thread: small networks are slower with more, and scores must not depend on their number."""
    import torch

    torch.set_num_threads(1)
    keep_heap()


def keep_heap() -> None:
    """Keep freed memory in the process.

    glibc hands a network's buffers back to the system after each batch and asks for them again: a fifth of the time of
    a deletion trajectory. Does nothing where the C library is another.
    """
    with suppress(OSError, AttributeError):  # not glibc
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD
        libc.mallopt(-3, 1 << 25)  # M_MMAP_THRESHOLD, its maximum


def resident_bytes() -> tuple[int, int]:
    """Memory this process holds now, and the most it has held (where the system does not report it, the most twice)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    statm = Path("/proc/self/statm")
    now = int(statm.read_text().split()[1]) * resource.getpagesize() if statm.is_file() else peak
    return now, max(now, peak)


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Environment variables for the processes started meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def run_with_parent(parent: int, target: str, pipe: Connection, arguments: bytes) -> None:
    """Body of a spawned process: tie its life to its parent's, and only then import what it will do.

    Parameters
    ----------
    parent : int
        Process id.
    target : str
        ``module:function``, called with the pipe and the arguments.
    pipe : Connection
    arguments : bytes
        Pickled tuple. Unpickling imports torch, which takes seconds in which the parent may die.
    """
    die_with_parent(parent)
    warnings.simplefilter("ignore", PluginWarning)  # the parent has told them
    module, name = target.split(":")
    given = pickle.loads(arguments)  # noqa: S301  (from the parent, as multiprocessing itself passes arguments)
    getattr(import_module(module), name)(pipe, *given)
