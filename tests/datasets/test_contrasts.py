"""What file names tell about volumes and masks."""

import pytest

from brain_tumor.datasets.readers.contrasts import MASK, SECOND_MASK, UNUSED_MASK, MaskPairs, parse_names
from brain_tumor.datasets.readers.contrasts import find_patients as find_patients_of
from brain_tumor.datasets.readers.contrasts import pair_masks as pair_masks_of

BRATS_2015 = [
    "VSD.Brain.XX.O.MR_Flair.54193", "VSD.Brain.XX.O.MR_T1c.54195", "VSD.Brain.XX.O.MR_T2.54196",
    "VSD.Brain_3more.XX.O.OT.54517",
]  # fmt: skip


def find_patients(names: list[str]) -> dict[str, str]:
    return find_patients_of(parse_names(names))


def pair_masks(names: list[str]) -> MaskPairs:
    return pair_masks_of(parse_names(names))


def unused(pairs: MaskPairs) -> list[str]:
    return [name for name, reason in pairs.reasons.items() if reason != MASK]


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
        ("P1_T2_FLAIR.nii", "P1"),
        ("P1-T2-FLAIR.nii", "P1"),
        ("P1-T1-CE.nii", "P1"),
        ("P1_T1_GD.nii", "P1"),
        ("P1.T1 post contrast.nii", "P1"),
        ("UCSF-PDGM-0004_FLAIR_bias.nii.gz", "UCSF-PDGM-0004"),
        ("UPENN-GBM-00001_11_T1GD_unstripped.nii", "UPENN-GBM-00001_11"),
        ("VSD.Brain.XX.O.MR_Flair.54193.mha", "VSD.Brain.XX.O"),
        ("a/P1/T2_FLAIR.nii", "a/P1"),
        ("P1_T1_2.nii", "P1"),
        ("P2_T1.nii", "P2"),
        ("scan_1.nii", "scan_1"),
        ("P1_brain.nii", "P1_brain"),
        ("P1_post_2.nii", "P1_post_2"),
        ("T1_P1.nii", "T1_P1"),
    ],
)
def test_find_patients_volume_is_the_path_without_the_contrast(name: str, patient: str) -> None:
    assert find_patients([name]) == {name: patient}


def test_find_patients_contrast_with_several_numbers_has_a_patient_per_number() -> None:
    names = ["a/T1_001.nii", "a/T1_002.nii", "a/T2_001.nii", "b/T1_001.nii", "b/T2_002.nii"]
    assert list(find_patients(names).values()) == ["a/001", "a/002", "a/001", "b", "b"]


@pytest.mark.parametrize(
    ("names", "patients"),
    [
        (["B1_t1.png", "B1_flair.png", "B2_t1.png"], ["B1", "B1", ""]),
        (["B1_t1.png", "B1_seg.png", "B2_t1.png", "B3_seg.png"], ["B1", "", "", ""]),
        (["B1_t1_055.png", "B1_flair_055.png", "B1_t1_056.png", "B2_t1_055.png"], ["B1", "B1", "B1", ""]),
        (["B1_t1_055.png", "B1_seg_055.png", "B2_t1_055.png"], ["B1", "", ""]),
        (["brain_t1_001.png", "brain_flair_001.png"], ["", ""]),
        (["P1/t1.png", "P1/flair.png", "P1/seg.png", "yes/t1.png", "yes/t2.png"], ["P1", "P1", "", "", ""]),
        (["x_t1.png", "x_t1.jpg", "x_t1_mask.png"], ["", "", ""]),
        (["B1_t1.dcm", "B1_flair.dcm", "scan_1.png", "scan_2.png"], ["", "", "", ""]),
    ],
)
def test_find_patients_ordinary_images_need_two_contrasts_or_a_mask(names: list[str], patients: list[str]) -> None:
    assert list(find_patients(names).values()) == patients


@pytest.mark.parametrize(
    "end",
    [
        "_seg", "-seg", "_mask", "_Segmentation", "_LABEL", "_segm", "_labels", "_roi", "_seg_manual", "-mask-final",
        "_tumor_segmentation", "_whole_tumor_seg", "_automated_approx_segm",
    ],
)  # fmt: skip
def test_pair_masks_mask_belongs_to_all_contrasts_in_its_folder(end: str) -> None:
    images = ["a/B_t1.nii.gz", "a/B_flair.nii.gz", "a/B.nii"]
    others = ["b/B_t1.nii.gz", "a/BC_t1.nii.gz", "a/B.png"]
    pairs = pair_masks([*images, *others, f"a/B{end}.nii.gz"])
    assert pairs.by_image == dict.fromkeys(images, f"a/B{end}.nii.gz")
    assert unused(pairs) == []


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
    assert pairs.by_image == {"a/1.png": "a/1_mask.png", "a/2.tif": "a/2_mask.jpg", "a/3_t1.png": "a/3_seg.png"}
    assert unused(pairs) == ["a/4_mask.png"]


@pytest.mark.parametrize("start", ["seg_", "Mask-", "label_"])
def test_pair_masks_word_at_the_start_is_a_mask_of_volumes_only(start: str) -> None:
    pairs = pair_masks(["P1.nii", f"{start}P1.nii", "P1.png", f"{start}P1.png", f"{start}ging.nii"])
    assert pairs.by_image == {"P1.nii": f"{start}P1.nii"}
    assert pairs.reasons == {f"{start}P1.nii": MASK, f"{start}ging.nii": UNUSED_MASK}


def test_pair_masks_other_words_are_images() -> None:
    names = [
        "label_glioma_1.png",
        "glioma_label_1.png",
        "masks.png",
        "unseg.nii",
        "a_segment.nii",
        "OT.nii",
        "a_OT.nii",
    ]
    assert pair_masks(names).reasons == {}


def test_pair_masks_word_before_the_mask_may_belong_to_the_image() -> None:
    pairs = pair_masks(["a_tumor.png", "a_tumor_mask.png", "b.png", "b_tumor_mask.png", "c.png", "c_brain_mask.png"])
    assert pairs.by_image == {"a_tumor.png": "a_tumor_mask.png", "b.png": "b_tumor_mask.png"}
    assert unused(pairs) == ["c_brain_mask.png"]


def test_pair_masks_mask_with_a_slice_number_belongs_to_contrasts_with_it() -> None:
    images = ["B1_t1_055.png", "B1_flair_055.png"]
    others = ["B1_t1_056.png", "B2_055.png", "B2_seg_055.png"]
    pairs = pair_masks([*images, *others, "B1_seg_055.png", "B1_seg_057.png"])
    assert pairs.by_image == dict.fromkeys(images, "B1_seg_055.png")
    assert pairs.reasons == {"B1_seg_055.png": MASK, "B1_seg_057.png": UNUSED_MASK}


@pytest.mark.parametrize("path", ["{}.mha", "HGG/pat1/{0}/{0}.mha"])
def test_pair_masks_brats_2015_mask_belongs_to_its_head(path: str) -> None:
    *images, mask = map(path.format, BRATS_2015)
    assert pair_masks([*images, mask, "b.mha"]).by_image == dict.fromkeys(images, mask)
    assert len({find_patients([*images, mask])[name] for name in images}) == 1


def test_pair_masks_brats_2015_heads_in_one_folder_are_not_joined() -> None:
    names = [f"{name}.mha" for name in (*BRATS_2015, "VSD.Brain.XX.O.MR_Flair.55000", "VSD.Brain.XX.O.OT.55001")]
    pairs = pair_masks(names)
    assert pairs.by_image == {}
    assert len(unused(pairs)) == 2
    patients = find_patients(names)
    assert len({patients[name] for name in names if name not in pairs.reasons}) == 4


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
    assert unused(pairs) == ["a_seg.nii", "b_seg.nii"]
    assert pairs.reasons == {"a_label.nii": MASK, "a_seg.nii": SECOND_MASK, "b_seg.nii": UNUSED_MASK}


def test_pair_masks_crops_of_ordinary_images_are_images_and_regions_of_volumes_masks() -> None:
    assert not pair_masks(["g/a_roi.png", "g/a.png", "g/b_roi.png"]).reasons
    assert pair_masks(["g/a_roi.nii", "g/a.nii"]).by_image == {"g/a.nii": "g/a_roi.nii"}


@pytest.mark.parametrize(
    ("mask", "image"),
    [
        ("P1.seg.nrrd", "P1.nrrd"),
        ("P1.seg.nii", "P1.t1.nii"),
        ("sub-01_dseg.nii.gz", "sub-01_T1w.nii.gz"),
        ("a_msk.nii.gz", "a_dwi.nii.gz"),
        ("a_segmentations.nii.gz", "a_t1.nii.gz"),
        ("a_msk.png", "a.png"),
    ],
)
def test_pair_masks_other_words_and_points_are_understood(mask: str, image: str) -> None:
    assert pair_masks([mask, image]).by_image == {image: mask}


def test_pair_masks_point_in_the_name_of_an_ordinary_image_is_no_separator() -> None:
    assert not pair_masks(["a.seg.png", "a.png"]).reasons


def test_find_patients_numbered_runs_of_one_head_are_one_and_numbered_sets_none() -> None:
    assert set(find_patients(["P1_T1_1.nii", "P1_T1_2.nii"]).values()) == {"P1"}
    assert len(set(find_patients(["brain_T1_1.nii", "brain_T1_2.nii"]).values())) == 2
    names = [
        f"g/{head}_{kind}_{number}.png" for head in ("set1", "dataset2") for kind in ("t1", "t2") for number in "01"
    ]
    assert set(find_patients(names).values()) == {""}
    names = [f"g/P{head}_{kind}_{number}.png" for head in "12" for kind in ("t1", "t2") for number in "01"]
    assert set(find_patients(names).values()) == {"g/P1", "g/P2"}
