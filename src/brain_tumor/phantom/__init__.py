"""A generated data set: real brain anatomy with simulated tumors, a mask and a patient for every image.

It is no medical data: it lets the whole pipeline run without a download, with a known answer.
"""

from collections.abc import Iterator

from joblib import Parallel, delayed

from brain_tumor.phantom.patient import Patient, stream
from brain_tumor.phantom.slices import MIN_TUMOR_PIXELS, PhantomSlice, take_slice

__all__ = ["CLASSES", "MIN_TUMOR_PIXELS", "PhantomSlice", "assign_labels", "generate", "generate_patient"]

CLASSES = ("glioma", "meningioma", "notumor", "pituitary")


def generate(patients: int, slices: int, seed: int, workers: int) -> Iterator[PhantomSlice]:
    """Generate the data set lazily, patient by patient; its pixels do not depend on the number of workers.

    Args:
        patients: number of patients; a multiple of four gives classes of the same size.
        slices: slices of each patient.
        seed: of all that is random.
        workers: number of processes.
    """
    tasks = [(number, label, slices, seed) for number, label in enumerate(assign_labels(patients, seed), start=1)]
    if workers == 1:
        results: Iterator[list[PhantomSlice]] = (generate_patient(*task) for task in tasks)
    else:
        results = Parallel(n_jobs=workers, return_as="generator")(delayed(generate_patient)(*task) for task in tasks)
    for patient in results:
        yield from patient


def generate_patient(number: int, label: str, num_slices: int, seed: int) -> list[PhantomSlice]:
    """Generate all slices of one patient, whose pixels depend on the arguments alone."""
    patient = Patient.draw(number, label, seed)
    return [take_slice(patient, number, label, index, seed) for index in range(num_slices)]


def assign_labels(patients: int, seed: int) -> list[str]:
    """Assign a class to each patient: every four in a row have all four classes, in random order."""
    blocks = (stream(seed, 0, block).permutation(CLASSES) for block in range(-(-patients // len(CLASSES))))
    return [str(label) for block in blocks for label in block][:patients]
