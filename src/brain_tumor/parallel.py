"""One parallel map with a progress bar; results come in the order of the inputs whatever the workers do."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeVar

from joblib import Parallel, cpu_count, delayed
from tqdm import tqdm

A = TypeVar("A")
B = TypeVar("B")


def workers() -> int:
    """Number of processes: the environment variable WORKERS, else all cores this process may use."""
    return int(os.environ.get("WORKERS") or cpu_count())


def ordered_map(function: Callable[[A], B], items: Collection[A], title: str = "", unit: str = "image") -> Iterator[B]:
    """Yield `function(item)` for each item in order, computed by `workers()` processes.

    A title shows a progress bar on standard error. Items are taken as they are needed: a collection may make
    them while it is walked through.
    """
    if workers() == 1 or len(items) < 2:
        results: Iterable[B] = map(function, items)
    else:
        parallel = Parallel(n_jobs=workers(), return_as="generator", batch_size="auto")
        results = parallel(delayed(function)(item) for item in items)
    return progress(results, title, len(items), unit) if title else iter(results)


def progress(results: Iterable[B], title: str, total: int, unit: str = "image") -> Iterator[B]:
    """Show a progress bar on standard error while passing the results on."""
    return iter(tqdm(results, desc=title, total=total, unit=unit, mininterval=1.0, dynamic_ncols=True))
