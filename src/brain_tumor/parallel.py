"""A parallel map with a progress bar; results are in the order of the inputs, whatever the number of workers.

Environment variables:
    WORKERS: number of local processes (default: all cores).
    DASK_SCHEDULER: address of a Dask scheduler whose workers compute instead. It needs `pip install distributed`, and
        the repository must have the same path on all workers.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from joblib import Parallel, cpu_count, delayed, parallel_config
from tqdm import tqdm

from brain_tumor.core.errors import UserError

A = TypeVar("A")
B = TypeVar("B")
DASK_CHUNK = 2_000  # items that are submitted to Dask together, since Dask returns results in chunks


def num_workers() -> int:
    """Return the number of processes: the environment variable WORKERS, else all cores this process may use."""
    return int(os.environ.get("WORKERS") or cpu_count())


def ordered_map(function: Callable[[A], B], items: Collection[A], title: str = "", unit: str = "image") -> Iterator[B]:
    """Yield `function(item)` for each item in order, computed by `num_workers()` processes.

    Args:
        function: must be picklable if there is more than one process.
        items: read lazily, so a collection may create them while it is iterated.
        title: title of a progress bar on standard error; '' shows none.
        unit: unit of the progress bar.

    Raises:
        UserError: DASK_SCHEDULER cannot be used.
    """
    if scheduler := os.environ.get("DASK_SCHEDULER"):
        results: Iterable[B] = _map_on_dask(function, items, scheduler)
    elif num_workers() == 1 or len(items) < 2:
        results = map(function, items)
    else:
        parallel = Parallel(n_jobs=num_workers(), return_as="generator", batch_size="auto")
        results = parallel(delayed(function)(item) for item in items)
    return progress(results, title, len(items), unit) if title else iter(results)


def _map_on_dask(function: Callable[[A], B], items: Iterable[A], scheduler: str) -> Iterator[B]:
    try:
        from distributed import Client

        client = Client(scheduler)
    except (ImportError, OSError, ValueError) as error:
        raise UserError(f"DASK_SCHEDULER={scheduler} cannot be used: {error or type(error).__name__}") from None
    with client:
        remaining = iter(items)
        while chunk := list(islice(remaining, DASK_CHUNK)):
            with parallel_config(backend="dask"):
                results = Parallel(n_jobs=-1)(delayed(function)(item) for item in chunk)
            yield from results


def progress(results: Iterable[B], title: str, total: int, unit: str = "image") -> Iterator[B]:
    """Yield the results, with a progress bar on standard error."""
    return iter(tqdm(results, desc=title, total=total, unit=unit, mininterval=1.0, dynamic_ncols=True))
