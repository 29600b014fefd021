"""The user's own files: by folder names or by a table, in an archive or a folder; clinical formats."""

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from heads import head, png
from numpy.typing import NDArray
from pydantic import ValidationError
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from brain_tumor.archive import RawImage, write
from brain_tumor.clinical import Volumes, dicom_slices, expand, volume_slices
from brain_tumor.errors import UserError
from brain_tumor.images import read_gray
from brain_tumor.sources import archive, folder

LAYOUT = {"path": "{label}/{file}", "labels": {"a": "sick", "b": "well"}}
TABLE = """path,label,split,patient,mask,site,age,sex,scanner
x/2.png,well,test,p2,,north,61,F,old
x/1.png,sick,train,p1,m/1.png,south,,M,new
"""
MASK = np.pad(np.ones((20, 30), np.uint8), ((30, 46), (30, 44)))  # of a head's size, 0 and 1
FILES = {"x/1.png": png(head(1)), "x/2.png": png(head(2)), "m/1.png": png(MASK), "images.csv": TABLE.encode()}
SMALL = png(np.ones((30, 40), np.uint8))

Make = Callable[[dict[str, bytes], dict[str, Any]], list[RawImage]]


@pytest.fixture(params=["archive", "folder"])
def make(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Put files into an archive or a folder, and read them by the source of that kind."""
    monkeypatch.setenv("DATA_ARCHIVES", str(tmp_path))

    def read(files: dict[str, bytes], block: dict[str, Any]) -> list[RawImage]:
        if request.param == "archive":
            with zipfile.ZipFile(tmp_path / "mine.zip", "w") as made:
                for name, content in files.items():
                    made.writestr(name, content)
            return list(archive.images(archive.Source(kind="archive", file="mine.zip", **block), tmp_path))
        for name, content in files.items():
            (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "mine" / name).write_bytes(content)
        return list(folder.images(folder.Source(kind="folder", path="mine", **block), tmp_path))

    return read


def test_folder_names_are_labels(make: Make) -> None:
    from brain_tumor.zips import Layout

    found = make({"a/1.png": b"1", "b/2.png": b"2", "c/3.png": b"3"}, {"layout": Layout.model_validate(LAYOUT)})
    assert [(image.path, image.label, image.content) for image in found] == [
        ("a/1.png", "sick", b"1"),
        ("b/2.png", "well", b"2"),
    ]


def test_a_table_says_all_it_knows(make: Make) -> None:
    one, two = make(FILES, {"table": "images.csv"})
    assert one._replace(mask=None) == RawImage(
        "x/1.png", FILES["x/1.png"], "sick", "train", "p1", site="south", sex="M"
    )
    assert np.array_equal(read_gray(one.mask or b""), 255 * MASK)
    assert two == RawImage("x/2.png", FILES["x/2.png"], "well", "test", "p2", site="north", age="61", sex="F")


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (b"path\nx/1.png\n", "has no column label"),
        (b"path,label\nx/9.png,a\n", "line 2: path 'x/9.png' is no file there"),
        (b"path,label\nx/1.png,\n", "line 2: the label is empty"),
        (b"path,label,split\nx/1.png,a,val\n", "split 'val' is neither"),
        (b"path,label,mask\nx/1.png,a,none.png\n", "mask 'none.png' is no file there"),
        (b"", "no CSV table"),
        (b'path,label\n"x', "no CSV table|has no column|no file there"),
        (b"\xff\xfe\x00", "no CSV table"),
        (b"path,label\n", "lists no image"),
        (b"path,label,box\nx/1.png,a,hello\n", "line 2: box 'hello' is not"),
        (b"path,label,age\nx/1.png,a,-5 years\n", "line 2: age '-5 years' is no number of years"),
        (b'path,label,patient\nx/1.png,a,"p\r1"\n', "patient holds a control character"),
        (b"path,label,mask\nx/1.png,a,images.csv\n", "mask of x/1.png cannot be read"),
        (b"path,label,mask\nx/1.png,a,small.png\n", "x/1.png has 104×96 pixels, its mask 40×30"),
    ],
)
def test_a_table_that_cannot_be_used_names_the_line(make: Make, table: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        write(tmp_path / "raw.zip", make(FILES | {"images.csv": table, "small.png": SMALL}, {"table": "images.csv"}))


def test_what_is_not_there_is_an_error(make: Make, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"images\.csv is not there"):
        make({"x/1.png": b"1"}, {"table": "images.csv"})
    for source in (
        archive.Source(kind="archive", file="no", table="t"),
        folder.Source(kind="folder", path="no", table="t"),
    ):
        module: Any = archive if source.kind == "archive" else folder
        with pytest.raises(UserError, match="DATA_ARCHIVES="):
            list(module.images(source, tmp_path))


@pytest.mark.parametrize("changes", [{}, {"layout": LAYOUT, "table": "t.csv"}])
def test_layout_or_table_and_not_both(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="give `layout` or `table`"):
        archive.Source.model_validate({"kind": "archive", "file": "x", **changes})


def dicom(pixels: NDArray[Any], **tags: Any) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape[-2:]
    data.BitsAllocated = data.BitsStored = pixels.dtype.itemsize * 8
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(pixels.dtype.kind == "i")
    data.PixelData = pixels.tobytes()
    data.PatientID, data.PatientName, data.PatientSex, data.PatientAge = "id 17", "Secret^Name", "F", "061Y"
    for name, value in tags.items():
        setattr(data, name, value)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, data)
    return buffer.getvalue()


RAMP = np.arange(1200, dtype=np.int16).reshape(30, 40)


def test_dicom_is_rescaled_and_windowed() -> None:
    tags = {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": 200, "WindowWidth": 400}
    (image,) = dicom_slices(RawImage("a/1.dcm", dicom(RAMP, **tags), "a"))
    gray = read_gray(image.content)
    expected = np.clip((2.0 * RAMP - 1000) / 400, 0, 1) * 255
    assert np.abs(gray - expected).max() <= 1.5
    assert (image.path, image.label, image.sex, image.age) == ("a/1.dcm.png", "a", "F", "61")
    assert image.patient
    assert "17" not in image.patient[:2]
    assert b"Secret" not in image.content


def test_monochrome1_is_inverted_and_frames_become_images() -> None:
    (plain,) = dicom_slices(RawImage("1", dicom(RAMP), "a"))
    (inverse,) = dicom_slices(RawImage("1", dicom(RAMP, PhotometricInterpretation="MONOCHROME1"), "a"))
    one, other = (read_gray(image.content).astype(int) for image in (plain, inverse))
    assert np.abs(one + other - 255).max() <= 1
    frames = np.stack([RAMP, RAMP[::-1], RAMP])
    found = dicom_slices(RawImage("m", dicom(frames, NumberOfFrames=3, Rows=30, Columns=40), "a", patient="given"))
    assert [image.path for image in found] == ["m.000.png", "m.001.png", "m.002.png"]
    assert {image.patient for image in found} == {"given"}
    assert np.array_equal(read_gray(found[0].content)[::-1], read_gray(found[1].content))


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        # Values 0 to 1199 fill a part of this window: it is not stretched.
        ({"WindowCenter": 2000, "WindowWidth": 4000}, [0, 19, 38, 57, 76]),
        (
            {"WindowCenter": [2000, 50], "WindowWidth": [4000, 10], "VOILUTFunction": "LINEAR_EXACT"},
            [0, 19, 38, 57, 76],
        ),
        ({"WindowCenter": 600, "WindowWidth": 1200, "VOILUTFunction": "SIGMOID"}, [30, 69, 127, 186, 225]),
        ({"WindowCenter": "", "WindowWidth": ""}, [0, 63, 127, 191, 255]),
        ({"WindowCenter": 5}, [0, 63, 127, 191, 255]),
    ],
)
def test_windows_mean_what_they_say(tags: dict[str, Any], expected: list[int]) -> None:
    (image,) = dicom_slices(RawImage("1", dicom(RAMP, **tags), "a"))
    found = read_gray(image.content).ravel()[[0, 300, 600, 900, 1199]]
    assert np.abs(found.astype(int) - expected).max() <= 2


def test_color_of_any_depth_and_palettes_become_luma() -> None:
    wide = np.repeat(np.linspace(0, 65535, 1200).astype(np.uint16).reshape(30, 40, 1), 3, 2)
    size: dict[str, Any] = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    (image,) = dicom_slices(RawImage("1", dicom(wide, Rows=30, Columns=40, **size), "a"))
    assert np.abs(read_gray(image.content).ravel().astype(int) - np.linspace(0, 255, 1200)).max() <= 1.5
    table = np.linspace(65535, 0, 256).astype(np.uint16).tobytes()
    palette: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for color in ("Red", "Green", "Blue"):
        palette |= {f"{color}PaletteColorLookupTableDescriptor": [256, 0, 16]}
        palette |= {f"{color}PaletteColorLookupTableData": table}
    indices = np.arange(256, dtype=np.uint8).reshape(16, 16)
    (image,) = dicom_slices(RawImage("1", dicom(indices, **palette), "a"))
    assert read_gray(image.content).ravel()[[0, 255]].tolist() == [255, 0]


def test_masks_of_dicom_files_go_frame_by_frame() -> None:
    frames = np.stack([RAMP, RAMP])
    content = dicom(frames, NumberOfFrames=2, Rows=30, Columns=40)
    masks = np.zeros((2, 30, 40), np.uint8)
    masks[1, 3:5] = 1
    mask = dicom(masks, NumberOfFrames=2, Rows=30, Columns=40)
    found = [read_gray(image.mask or b"") for image in dicom_slices(RawImage("m", content, "a", mask=mask))]
    assert np.array_equal(np.stack(found), 255 * masks)
    with pytest.raises(UserError, match="m has 2 frames, and its mask 1"):
        list(expand([RawImage("m", content, "a", mask=png(masks[1]))], Volumes()))


def test_what_would_unpack_without_limit_or_hold_no_gray_levels_is_passed_on(caplog: pytest.LogCaptureFixture) -> None:
    deflated = dicom(RAMP).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99", 1)
    images = [RawImage("d.dcm", deflated, "a"), RawImage("c.nii", nifti(np.ones((4, 4, 4), np.complex64)), "a")]
    assert list(expand(images, Volumes())) == images
    assert "a deflated DICOM file" in caplog.text
    assert "complex64, which are no gray levels" in caplog.text


def nifti(values: NDArray[Any], affine: NDArray[Any] | None = None, zipped: bool = False) -> bytes:
    content = nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine).to_bytes()
    return gzip.compress(content, mtime=0) if zipped else content


def body() -> NDArray[np.int16]:
    """A block, brighter to the right, to the front and to the top of the patient (RAS+)."""
    x, y, z = np.mgrid[:20, :24, :28]
    values = 100 + x + 2 * y + 3 * z
    return np.where((x > 2) & (x < 17) & (y > 2) & (y < 21) & (z > 4) & (z < 23), values, 0).astype(np.int16)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(("plane", "shape"), [("axial", (24, 20)), ("coronal", (28, 20)), ("sagittal", (28, 24))])
def test_volumes_become_upright_slices(plane: Any, shape: tuple[int, int], zipped: bool) -> None:
    name = "v.nii.gz" if zipped else "v.nii"
    found = volume_slices(RawImage(name, nifti(body(), zipped=zipped), "a"), Volumes(plane=plane, count=3))
    assert len(found) == 3
    assert {(image.patient, image.plane) for image in found} == {(name, plane)}
    gray = read_gray(found[1].content).astype(int)
    assert gray.shape == shape
    center = gray[shape[0] // 2, shape[1] // 2]
    assert gray[shape[0] // 2 - 5, shape[1] // 2] > center  # front or top is up
    assert gray[shape[0] // 2, shape[1] // 2 - 4] > center  # the patient's right, or the face, is at the left


def test_the_scanner_s_axes_do_not_matter() -> None:
    turned = np.ascontiguousarray(body()[::-1].transpose(2, 0, 1))
    affine = np.array([[0, -1, 0, 19], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    one = volume_slices(RawImage("v.nii", nifti(body()), "a"), Volumes())
    other = volume_slices(RawImage("v.nii", nifti(turned, affine), "a"), Volumes())
    assert [image.content for image in one] == [image.content for image in other]


def test_masked_slices_are_chosen_and_keep_their_masks() -> None:
    mask = np.zeros(body().shape, np.uint8)
    mask[8:12, 8:14, 9:13] = 1
    found = volume_slices(RawImage("v.nii", nifti(body()), "a", mask=nifti(mask)), Volumes(count=9))
    assert [image.path for image in found] == [f"v.nii.axial-{z:03d}.png" for z in range(9, 13)]
    for image in found:
        assert image.mask is not None
        assert (read_gray(image.mask) == 255).sum() == 24


def test_what_cannot_be_read_is_passed_on_for_the_audit(caplog: pytest.LogCaptureFixture) -> None:
    broken = [
        RawImage("1.dcm", dicom(RAMP)[:400], "a"),
        RawImage("2.nii", nifti(body())[:500], "a"),
        RawImage("3.nii.gz", nifti(body(), zipped=True)[:-20], "a"),
        RawImage("4.nii", nifti(np.zeros((2, 3, 4, 5), np.int16)), "a"),
        RawImage("5.nii", nifti(np.full((4, 4, 4), np.nan, np.float32)), "a"),
        RawImage("6.png", png(head(1)), "a"),
    ]
    assert list(expand(broken, Volumes())) == broken
    for image in broken[:-1]:
        assert f"{image.path} cannot be read" in caplog.text
