"""Convert the annotations of any tool into a data set that training reads.

SOURCE is the folder that the tool exported, or its annotation file: COCO JSON (polygons, run
lengths, panoptic), LabelMe JSON, CVAT for images XML, Supervisely JSON, Roboflow semantic masks,
Pascal VOC or CVAT masks, RGB-coded masks, grey masks, a folder of binary masks for each class. The
exit code is 1 if something could not be converted, which is listed.

Example:
    segheads import labelme_export --out data/mine --background ground
"""

import argparse
import sys
from pathlib import Path

from .arguments import positive, share

SHOWN_FAILURES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    parser.add_argument('source', metavar='SOURCE', type=Path, help='folder or annotation file')
    parser.add_argument(
        '--out', metavar='DATA', type=Path, required=True, help='the folder to make'
    )
    parser.add_argument(
        '--format', help='coco, labelme, cvat, supervisely, roboflow, voc or masks; else recognised'
    )
    parser.add_argument('--images', metavar='FOLDER', type=Path, help='where the images are')
    parser.add_argument('--masks', metavar='FOLDER', type=Path, help='where the masks are')
    parser.add_argument(
        '--palette', metavar='FILE', type=Path, help='classes and colours of RGB-coded masks'
    )
    parser.add_argument(
        '--background', metavar='NAME', help='class of pixels under no shape; else ignored'
    )
    parser.add_argument(
        '--classes',
        metavar='FILE',
        type=Path,
        help='YAML: lines `name: new name` (none: ignored), or a list of the names to keep',
    )
    parser.add_argument(
        '--merge', action='append', default=[], metavar='A,B=C', help='make classes one; repeatable'
    )
    parser.add_argument(
        '--smaller-on-top',
        action='store_true',
        help='small shapes lie over large ones, not later ones over earlier ones',
    )
    parser.add_argument(
        '--line-width',
        type=positive,
        default=10,
        metavar='PIXELS',
        help='width of lines and points (default: 10)',
    )
    parser.add_argument(
        '--val',
        type=share,
        default=0.1,
        help='share of validation images, where the source has no split (default: 0.1)',
    )
    parser.add_argument('--test', type=share, default=0.0, help='share of test images (default: 0)')
    parser.add_argument(
        '--group',
        metavar='REGEX',
        help='keep images in one split in whose names this finds the same, as frames of a video',
    )


def run(options: argparse.Namespace) -> None:
    """Imports as the command line says, and exits with code 1 if something was left out."""
    from rich.console import Console
    from rich.progress import track

    from segheads.annotations.importing import CONTACT_SHEET, import_annotations
    from segheads.data.printing import print_histogram

    # Paths may hold what Rich would take for its markup.
    console = Console(markup=False, highlight=False)
    errors = Console(stderr=True)

    def tell(text: str) -> None:
        console.print(text, soft_wrap=True)

    report = import_annotations(
        options.source,
        options.out,
        format=options.format,
        images=options.images,
        masks=options.masks,
        palette=options.palette,
        background=options.background,
        classes=options.classes,
        merge=options.merge,
        smaller_on_top=options.smaller_on_top,
        line_width=options.line_width,
        val=options.val,
        test=options.test,
        group=options.group,
        track=lambda items, total, what: track(
            items, what, total, console=errors, transient=True, disable=not errors.is_terminal
        ),
        tell=tell,
    )
    for scan in report.scans():
        console.print(f'\n{scan.key}', style='bold')
        print_histogram(console, scan, {report.table.ignored})
    for note in report.notes:
        tell(f'note: {note}')
    for failure in report.failures[:SHOWN_FAILURES]:
        tell(f'error: {failure.what}: {failure.reason}')
    if len(report.failures) > SHOWN_FAILURES:
        tell(f'    and {len(report.failures) - SHOWN_FAILURES} more')
    tell(f'\n{len(report.written)} images in {options.out}; look at {options.out / CONTACT_SHEET}')
    if report.failures:
        tell(f'{len(report.failures)} could not be converted')
        sys.exit(1)
