"""The layout of Pascal VOC, which CVAT and LabelMe's converter export too.

Masks lie in ``SegmentationClass`` and are named as images in ``JPEGImages``; lists of names in
``ImageSets/Segmentation`` are the splits. Colours count where a ``labelmap.txt`` says what they
mean, else palette indices, whose names are in ``class_names.txt`` or those of Pascal VOC itself.
"""

from collections.abc import Mapping
from pathlib import Path

from segheads.mistakes import UserMistake

from .label_masks import LabelMask, packed
from .mask_survey import survey
from .palettes import find_names, find_palette
from .records import Failure, Record, Source, SourceClass
from .source_files import SPLITS, SourceFiles, read_text, split_of

FORMAT, FORMAT_OF_CVAT = 'Pascal VOC masks', 'CVAT segmentation masks'
FOLDERS = ('segmentationclasspng', 'segmentationclass')
OTHER_FOLDERS = ('segmentationobject', 'segmentationclassvisualization', 'segmentationobjectpng')
CLASSES = (
    'background', 'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair',
    'cow', 'diningtable', 'dog', 'horse', 'motorbike', 'person', 'pottedplant', 'sheep', 'sofa',
    'train', 'tvmonitor',
)  # fmt: skip
VOID, VOID_COLOR = 255, (224, 224, 192)


def mask_folders(files: SourceFiles) -> list[Path]:
    """Lists the folders of class masks, by the names that tools give them."""
    for name in FOLDERS:
        found = {
            folder
            for image in files.images
            for folder in image.parents
            if folder.name.lower() == name and folder.is_relative_to(files.root)
        }
        if found:
            return sorted(found)
    return []


def read_voc(files: SourceFiles, folders: list[Path], palette: Path | None) -> Source:
    """Reads images with masks in the layout of Pascal VOC.

    Args:
        files (SourceFiles): The source.
        folders (list[Path]): Its folders of class masks.
        palette (Path | None): A palette file, if the user named one.

    Returns:
        Source: The classes, and the images.
    """
    classes = find_palette(files, palette)
    source = Source(FORMAT_OF_CVAT if classes else FORMAT, covers_all=True)
    masks = [(f, m) for f in folders for m in files.images if m.is_relative_to(f)]
    if classes:
        source.classes = list({each.name: each for each in classes}.values())
        names: dict[int, str | None] = {packed(each.color): each.name for each in classes}
        names.setdefault(packed(VOID_COLOR), None)
    else:
        names = _names_of_values(files, [mask for _, mask in masks], source)
    splits = _splits(files)
    others = [
        folder
        for mask_folder in folders
        for folder in mask_folder.parent.iterdir()
        if folder.name.lower() in (*FOLDERS, *OTHER_FOLDERS)
    ]
    is_color = bool(classes)
    for folder, mask in masks:
        stem, origin = mask.relative_to(folder).with_suffix('').as_posix(), files.relative(mask)
        try:
            image = files.find_stem(stem, others)
        except UserMistake as mistake:
            source.failures.append(Failure(origin, str(mistake)))
            continue
        name = files.relative(image)
        split = splits.get(stem) or split_of(name)
        source.records.append(Record(image, name, LabelMask(mask, names, is_color), origin, split))
    return source


def _names_of_values(
    files: SourceFiles, masks: list[Path], source: Source
) -> dict[int, str | None]:
    names = find_names(files)
    found = survey(files, masks)
    if found.is_color:
        raise UserMistake(
            f'the masks of {files.root} have colours, but no labelmap.txt says what they mean; '
            'write one (name:red,green,blue:: on each line), or give --palette FILE'
        )
    values = [value for value in found.values if value != VOID]
    if names is None and max(values, default=0) < len(CLASSES):
        names = list(CLASSES)
    elif names is None:
        names = [str(value) for value in range(max(values) + 1)]
        source.notes.append('the classes have no names: write them into class_names.txt, in order')
    colors = [found.palette.get(value) for value in range(len(names))]
    source.classes = [
        SourceClass(*pair) for pair in zip(dict.fromkeys(names), colors, strict=False)
    ]
    return {**dict(enumerate(names)), VOID: None}


def _splits(files: SourceFiles) -> Mapping[str, str]:
    """Reads the lists of names: the split of each."""
    splits = {}
    for path in files.files:
        split = SPLITS.get(path.stem.lower())
        is_list = path.suffix.lower() == '.txt' and path.parent.name.lower() == 'segmentation'
        if split and is_list:
            splits |= {line.strip(): split for line in read_text(path).splitlines()}
    return splits
