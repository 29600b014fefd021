"""One parallel map with a progress bar; results come in the order of the inputs whatever the workers do.

WORKERS local processes (default: all cores)
DASK_SCHEDULER address of a Dask scheduler whose workers compute instead (needs `pip install distributed`, and the
    repository at the same place for all of them)
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from joblib import Parallel, cpu_count, delayed, parallel_config
from tqdm import tqdm

from brain_tumor.errors import UserError

A = TypeVar("A")
B = TypeVar("B")
BLOCK = 2_000  # items that are out on Dask workers at once: Dask gives results back by the block


def workers() -> int:
    """Number of processes: the environment variable WORKERS, else all cores this process may use."""
    return int(os.environ.get("WORKERS") or cpu_count())


def ordered_map(function: Callable[[A], B], items: Collection[A], title: str = "", unit: str = "image") -> Iterator[B]:
    """Yield `function(item)` for each item in order, computed by `workers()` processes.

    A title shows a progress bar on standard error. Items are taken as they are needed: a collection may make
    them while it is walked through.
    """
    if scheduler := os.environ.get("DASK_SCHEDULER"):
        results: Iterable[B] = _on_dask(function, items, scheduler)
    elif workers() == 1 or len(items) < 2:
        results = map(function, items)
    else:
        parallel = Parallel(n_jobs=workers(), return_as="generator", batch_size="auto")
        results = parallel(delayed(function)(item) for item in items)
    return progress(results, title, len(items), unit) if title else iter(results)


def _on_dask(function: Callable[[A], B], items: Iterable[A], scheduler: str) -> Iterator[B]:
    try:
        from distributed import Client

        client = Client(scheduler)
    except (ImportError, OSError, ValueError) as error:
        raise UserError(f"DASK_SCHEDULER={scheduler} cannot be used: {error or type(error).__name__}") from None
    with client:
        rest = iter(items)
        while block := list(islice(rest, BLOCK)):
            with parallel_config(backend="dask"):
                results = Parallel(n_jobs=-1)(delayed(function)(item) for item in block)
            yield from results


def progress(results: Iterable[B], title: str, total: int, unit: str = "image") -> Iterator[B]:
    """Show a progress bar on standard error while passing the results on."""
    return iter(tqdm(results, desc=title, total=total, unit=unit, mininterval=1.0, dynamic_ncols=True))
