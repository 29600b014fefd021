"""Checks of the whole params.yaml: each block against its schema, and the names that blocks refer to."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from timm.models import is_model, list_models

from brain_tumor.core.errors import UserError
from brain_tumor.core.params import Block, read_params
from brain_tumor.recipes.blocks import DatasetBlock, RecipeBlock, read_block
from brain_tumor.recipes.names import describe_unknown, find_class_problems, find_name_problem, nearest

STUDIES = ("crossval", "patients", "seeds", "localization", "permuted", "protocol", "external")
PUBLISHED_SPLITS = ("train", "test")


class Schemas(NamedTuple):
    """Schemas of the blocks.

    Attributes:
        sources: of `datasets.<name>.source`, by kind.
        expected, info: of these blocks of a data set.
        backbone: of `backbones.<name>`.
        recipe: of the blocks of a recipe that stages read, by key.
    """

    sources: Mapping[str, type[Block]]
    expected: type[Block]
    info: type[Block]
    backbone: type[Block]
    recipe: Mapping[str, type[Block]]


class Findings(NamedTuple):
    """What is wrong in params.yaml, a line for each value.

    Attributes:
        errors: what makes a recipe fail, or its result wrong.
        warnings: recipes and data sets of studies that do not exist. Other recipes run without these studies.
    """

    errors: list[str]
    warnings: list[str]


class DatasetContent(NamedTuple):
    """What params.yaml tells about the images of a data set.

    Attributes:
        labels: the labels that occur; None if they are not known before the download.
        has_published_test: whether there is a published test folder; None if that is not known.
    """

    labels: Collection[str] | None = None
    has_published_test: bool | None = None


def check_params(file: Path, schemas: Schemas) -> Findings:
    """Check all of params.yaml.

    Args:
        file: params.yaml; paths in it are relative to its folder.
        schemas: schemas of the blocks.
    """
    sections: dict[str, dict[str, Any]] = {}
    errors: list[str] = []
    for section in ("datasets", "backbones", "recipes"):
        block, problems = read_block(file, section, dict[str, Any])
        sections[section] = block or {}
        errors += problems
        for name in sections[section]:
            if problem := find_name_problem(name):
                errors.append(f"{section}: {problem}")
    if errors:  # the other checks need these names
        return Findings(errors, [])
    contents = {}
    for name in sections["datasets"]:
        contents[name], problems = _check_dataset(file, name, schemas)
        errors += problems
    for name in sections["backbones"]:
        errors += _check_backbone(file, name, schemas.backbone)
    for name, recipe in sections["recipes"].items():
        errors += _check_recipe(file, name, schemas.recipe)
        if isinstance(recipe, dict):
            errors += _check_references(name, recipe, contents, sections["backbones"])
    studies = _check_studies(file, sections)
    return Findings(errors + studies.errors, studies.warnings)


def _check_dataset(file: Path, name: str, schemas: Schemas) -> tuple[DatasetContent, list[str]]:
    key = f"datasets.{name}"
    block, errors = read_block(file, key, DatasetBlock)
    if block is None:
        return DatasetContent(), errors
    kind = block.source.get("kind")
    source = None
    if isinstance(kind, str) and kind in schemas.sources:
        source, problems = read_block(file, f"{key}.source", schemas.sources[kind])
        errors += problems
    else:
        kinds = ", ".join(schemas.sources)
        errors.append(f"{key}.source.kind: {kind!r} is not one of {kinds}{nearest(str(kind), schemas.sources)}")
    expected, problems = read_block(file, f"{key}.expected", schemas.expected)
    errors += problems
    errors += read_block(file, f"{key}.info", schemas.info)[1]
    if not (file.parent / block.patients).is_file():
        errors.append(f"{key}.patients: there is no file {block.patients!r} (provenance/none.csv names no patient)")
    labels, has_test = _describe_source(source)
    counts = getattr(expected, "counts", {})
    for split, label in map(_divide_count_key, counts):
        path = f"{key}.expected.counts"
        if split and split not in PUBLISHED_SPLITS:
            errors.append(
                f"{path}: '{split}' in '{split}/{label}' should be train or test{nearest(split, PUBLISHED_SPLITS)}"
            )
        elif labels is not None and label not in labels:
            errors.append(f"{path}: {describe_unknown('label', label, labels)}")
    if counts:
        labels = sorted({label for _, label in map(_divide_count_key, counts)})
        has_test = any(split == "test" for split, _ in map(_divide_count_key, counts))
    return DatasetContent(labels, has_test), errors


def _describe_source(source: Any) -> DatasetContent:
    """Return what the parameters of a source tell about its images; sources with a table tell nothing."""
    block = source if hasattr(source, "labels") else getattr(source, "layout", None)
    if block is None:
        return DatasetContent()
    labels = [*block.labels.values(), getattr(block, "background", "")]
    return DatasetContent(sorted({label for label in labels if label}), "test" in block.splits.values())


def _divide_count_key(key: str) -> tuple[str, str]:
    """Divide a key of `expected.counts` into split ('' for none) and label."""
    split, _, label = key.rpartition("/")
    return split, label


def _check_backbone(file: Path, name: str, schema: type[Block]) -> list[str]:
    key = f"backbones.{name}"
    backbone, errors = read_block(file, key, schema)
    architecture = getattr(backbone, "architecture", None)
    if architecture is not None and not is_model(architecture):
        hint = nearest(architecture, list_models())
        errors.append(f"{key}.architecture: timm has no model '{architecture}'{hint}")
    return errors


def _check_recipe(file: Path, name: str, schemas: Mapping[str, type[Block]]) -> list[str]:
    """Check the blocks of a recipe, and what they need from each other."""
    key = f"recipes.{name}"
    recipe, errors = read_block(file, key, RecipeBlock)
    if recipe is None:
        return errors
    blocks: dict[str, Any] = {}
    for part, schema in schemas.items():
        if part == "export" and recipe.export is None:
            continue
        blocks[part], problems = read_block(file, f"{key}.{part}", schema)
        errors += problems
    split, train = blocks["split"], blocks["train"]
    if train is not None and train.head == "sigmoid" and len(recipe.classes) != 2:
        errors.append(
            f"{key}.train.head: sigmoid is for two classes, but `classes` has {len(recipe.classes)}: use softmax"
        )
    if split is not None and train is not None and train.needs_validation and not split.validation:
        errors.append(
            f"{key}.split.validation: 0 leaves no validation images, which train.select: {train.select} or "
            f"schedule.kind: {train.schedule.kind} needs: set it above 0, or train.select: last without plateau"
        )
    return errors


def _check_references(
    name: str, recipe: Mapping[str, Any], contents: Mapping[str, DatasetContent], backbones: Collection[str]
) -> Iterator[str]:
    """Check the data set, backbone and classes of a recipe; values of a wrong type are left to its schema."""
    key, dataset, backbone, classes = (
        f"recipes.{name}",
        *(recipe.get(one) for one in ("dataset", "backbone", "classes")),
    )
    if isinstance(dataset, str) and dataset not in contents:
        yield f"{key}.dataset: {describe_unknown('data set', dataset, contents)}"
    if isinstance(backbone, str) and backbone not in backbones:
        yield f"{key}.backbone: {describe_unknown('backbone', backbone, backbones)}"
    content = contents.get(str(dataset), DatasetContent())
    if isinstance(classes, list) and all(isinstance(label, str) for label in classes):
        problems = list(find_class_problems(classes))
        yield from (f"{key}.classes: {problem}" for problem in problems)
        if content.labels is not None and not problems:
            labels = f"labels: {', '.join(content.labels)}"
            for label in (label for label in classes if label not in content.labels):
                hint = nearest(label, content.labels)
                yield f"{key}.classes: datasets.{dataset} has no label '{label}' ({labels}){hint}"
    split = recipe.get("split")
    if isinstance(split, dict) and split.get("strategy") == "published" and content.has_published_test is False:
        yield (
            f"{key}.split.strategy: datasets.{dataset} has no published test images: use fraction, kfold, or folds of "
            "its source"
        )


def _check_studies(file: Path, sections: Mapping[str, Mapping[str, Any]]) -> Findings:
    """Check the recipes and data sets that studies name; a study itself reads its other parameters first."""
    findings = Findings([], [])
    for study in STUDIES:
        try:
            block: Any = read_params(file, study, Any)
        except UserError:
            continue  # a study that was removed
        block = block if isinstance(block, dict) else {}
        for position, entry in enumerate(block.get("recipes") or ()):
            own = entry if isinstance(entry, dict) else {"name": entry}
            recipe = sections["recipes"].get(str(own.get("name")))
            if recipe is None:
                unknown = describe_unknown("recipe", str(own.get("name")), sections["recipes"])
                findings.warnings.append(f"{study}.recipes.{position}: {unknown}")
                continue
            for key in ("backbone", "dataset"):
                exists = recipe.get(key) in sections[f"{key}s"]
                if key in own and exists and own[key] != recipe[key]:
                    findings.errors.append(
                        f"{study}.recipes.{position}.{key}: '{own[key]}' differs from recipes.{own['name']}.{key}: "
                        f"write '{recipe[key]}'"
                    )
        for position, dataset in enumerate(block.get("datasets") or ()):
            if dataset not in sections["datasets"]:
                unknown = describe_unknown("data set", str(dataset), sections["datasets"])
                findings.warnings.append(f"{study}.datasets.{position}: {unknown}")
    return findings
