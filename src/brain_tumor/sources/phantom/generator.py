"""All slices of the generated data set: which patient has which class, and their images in a fixed order."""

from collections.abc import Iterator

from brain_tumor.parallel import ordered_map
from brain_tumor.sources.phantom.patient import Patient, make_generator
from brain_tumor.sources.phantom.slices import PhantomSlice, scan_slice

CLASSES = ("glioma", "meningioma", "notumor", "pituitary")


def generate(patients: int, slices: int, seed: int) -> Iterator[PhantomSlice]:
    """Generate the data set lazily, patient by patient; its pixels do not depend on the number of workers.

    Args:
        patients: number of patients; a multiple of four gives classes of the same size.
        slices: number of slices per patient.
        seed: seed of all random numbers.
    """
    tasks = [(number, label, slices, seed) for number, label in enumerate(assign_labels(patients, seed), start=1)]
    for patient in ordered_map(_generate, tasks, "generate", unit="patient"):
        yield from patient


def _generate(task: tuple[int, str, int, int]) -> list[PhantomSlice]:
    return generate_patient(*task)


def generate_patient(number: int, label: str, num_slices: int, seed: int) -> list[PhantomSlice]:
    """Generate all slices of one patient; their pixels depend only on the arguments."""
    patient = Patient.sample(number, label, seed)
    return [scan_slice(patient, number, label, index, seed) for index in range(num_slices)]


def assign_labels(patients: int, seed: int) -> list[str]:
    """Assign a class to each patient: each block of four patients has all four classes, in random order."""
    blocks = (make_generator(seed, 0, block).permutation(CLASSES) for block in range(-(-patients // len(CLASSES))))
    return [str(label) for block in blocks for label in block][:patients]
