"""What file names tell about volumes and masks."""

import pytest

from brain_tumor.datasets.readers.contrasts import pair_masks, volume_patient


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("a/BraTS_001_t1.nii.gz", "a/BraTS_001"),
        ("a/BraTS_001_t1ce.nii.gz", "a/BraTS_001"),
        ("a/BraTS_001_FLAIR.NII.GZ", "a/BraTS_001"),
        ("a/BraTS-GLI-00000-000-t2w.nii.gz", "a/BraTS-GLI-00000-000"),
        ("a/P1/t1.nii", "a/P1"),
        ("a/P1/flair.nii.gz", "a/P1"),
        ("a/x_adc.img", "a/x"),
        ("a/x_T2F.mha", "a/x"),
        ("a/BraTS_001.nii.gz", "a/BraTS_001"),
        ("a/patient_0001.nii.gz", "a/patient_0001"),
        ("a/start1.nii", "a/start1"),
        ("t1.nii", "t1"),
        ("a/sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz", "a/sub-01"),
        ("a/sub-01_ses-1_FLAIR.nii.gz", "a/sub-01"),
        ("a/guta\u0308_t1.nii", "a/gut\u00e4"),
        ("a/BraTS_001_t1.png", ""),
        ("a/IM0001", ""),
    ],
)
def test_volume_patient_is_the_path_without_the_contrast(name: str, patient: str) -> None:
    assert volume_patient(name) == patient


@pytest.mark.parametrize("end", ["_seg", "-seg", "_mask", "_Segmentation", "_LABEL"])
def test_pair_masks_mask_belongs_to_all_contrasts_in_its_folder(end: str) -> None:
    images = ["a/B_t1.nii.gz", "a/B_flair.nii.gz", "a/B.nii"]
    others = ["b/B_t1.nii.gz", "a/BC_t1.nii.gz", "a/B.png"]
    pairs = pair_masks([*images, *others, f"a/B{end}.nii.gz"])
    assert pairs.by_image == dict.fromkeys(images, f"a/B{end}.nii.gz")
    assert pairs.unused == []


def test_pair_masks_plain_images_have_the_same_stem() -> None:
    names = [
        "a/1.png",
        "a/1_mask.png",
        "a/2.tif",
        "a/2_mask.jpg",
        "a/3_t1.png",
        "a/3_seg.png",
        "a/4_mask.png",
        "b/4.png",
    ]
    pairs = pair_masks(names)
    assert pairs.by_image == {"a/1.png": "a/1_mask.png", "a/2.tif": "a/2_mask.jpg"}
    assert pairs.unused == ["a/3_seg.png", "a/4_mask.png"]


def test_pair_masks_mask_of_one_contrast_comes_first() -> None:
    pairs = pair_masks(["B_t1.nii", "B_t1_seg.nii", "B_t2.nii", "B_seg.nii"])
    assert pairs.by_image == {"B_t1.nii": "B_t1_seg.nii", "B_t2.nii": "B_seg.nii"}


def test_pair_masks_folder_of_a_head_has_its_mask() -> None:
    assert pair_masks(["P1/t1.nii", "P1/flair.nii", "P1/seg.nii", "P2/t1.nii"]).by_image == {
        "P1/t1.nii": "P1/seg.nii", "P1/flair.nii": "P1/seg.nii",
    }  # fmt: skip


def test_pair_masks_second_mask_and_mask_of_another_kind_are_unused() -> None:
    pairs = pair_masks(["a.nii", "a_label.nii", "a_seg.nii", "b.png", "b_seg.nii", "masks.png"])
    assert pairs.by_image == {"a.nii": "a_label.nii"}
    assert pairs.unused == ["a_seg.nii", "b_seg.nii"]
