"""From the annotations of any tool to a folder that training reads."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segheads.data.scan import DatasetScan
from segheads.mistakes import UserMistake

from . import color_masks, pascal_voc
from .class_table import ClassTable, make_table, read_choice
from .contact_sheet import draw_contact_sheet
from .rasterising import Shapes
from .recognition import Folders, read_source
from .records import Failure, Record, Source, listed
from .source_files import SourceFiles, Track
from .splits import TEST, TRAIN, VAL, SplitRule, split
from .writing import DatasetWriter, Written, name_files

PEN = 10
FORMATS_WITH_PALETTE = (color_masks.FORMAT, pascal_voc.FORMAT_OF_CVAT)
CONTACT_SHEET = 'contact_sheet.jpg'


@dataclass(frozen=True)
class Report:
    """What an import did.

    Attributes:
        format (str): What the source was recognised as.
        table (ClassTable): The classes.
        written (list[Written]): The pairs of image and mask.
        failures (list[Failure]): What could not be converted.
        notes (list[str]): What the user should know.
    """

    format: str
    table: ClassTable
    written: list[Written]
    failures: list[Failure]
    notes: list[str]

    def scans(self) -> list[DatasetScan]:
        """Counts the classes of each split, as the check of data sets does."""
        scans = []
        for name in (TRAIN, VAL, TEST):
            pairs = [pair for pair in self.written if pair.split == name]
            if pairs:
                names = tuple(each.name for each in self.table.classes)
                scan = DatasetScan(name, names, len(pairs))
                for pair in pairs:
                    scan.pixels += pair.pixels
                    scan.images.update(pair.pixels.keys())
                scans.append(scan)
        return scans


def import_annotations(
    source: str | Path,
    out: str | Path,
    *,
    format: str | None = None,
    images: str | Path | None = None,
    masks: str | Path | None = None,
    palette: str | Path | None = None,
    background: str | None = None,
    classes: str | Path | Mapping[str, str | None] | Sequence[str] | None = None,
    merge: Sequence[str] = (),
    smaller_on_top: bool = False,
    line_width: int = PEN,
    val: float = 0.1,
    test: float = 0.0,
    group: str | None = None,
    track: Track | None = None,
    tell: Callable[[str], None] = print,
) -> Report:
    """Converts the annotations of a tool into a data set.

    Args:
        source (str | Path): The folder that the tool exported, or its annotation file.
        out (str | Path): The folder to make. It must not exist, or be empty.
        format (str | None): What the source is: one of :data:`.recognition.FORMATS`.
            Default: None, which is to recognise it.
        images (str | Path | None): The folder of the images, if it is another. Default: None.
        masks (str | Path | None): The folder of the masks, if it is not recognised. Default: None.
        palette (str | Path | None): File of classes and colours. Default: None, for one in the
            source.
        background (str | None): The class of pixels under no shape. Default: None, for ignored.
        classes (str | Path | Mapping | Sequence | None): New names by names in the source, None for
            classes that are dropped; or the names that are kept, in their order; or a YAML file of
            either. Default: None.
        merge (Sequence[str]): Texts such as ``'car,truck=vehicle'``. Default: ().
        smaller_on_top (bool): Whether small shapes lie over large ones, not later ones over earlier
            ones. Default: False.
        line_width (int): Width of lines and points in pixels. Default: 10.
        val (float): Share of validation images, where the source has no split. Default: 0.1.
        test (float): Share of test images, where the source has no split. Default: 0.
        group (str | None): Regular expression; images in whose names it finds the same stay in one
            split. Default: None.
        track (Callable | None): Shows progress, see :class:`.source_files.SourceFiles`.
            Default: None.
        tell (Callable): Takes a sentence as soon as something is known. Default: print.

    Returns:
        Report: What was written, and what could not be.

    Raises:
        UserMistake: If the source is not recognised or holds nothing that can be converted, or if
            a setting does not fit it. Nothing is written then.
    """
    source, out = Path(source).expanduser(), Path(out).expanduser()
    require_no_data(out)
    if isinstance(classes, (str, Path)):
        classes = read_choice(Path(classes).expanduser())
    folders = Folders(*(p and Path(p).expanduser() for p in (images, masks, palette)))
    rule = SplitRule(val, test, group)
    rule.check()
    files = SourceFiles(source, folders.images, leave_out=out, track=track)
    found = read_source(files, folders, format)
    tell(f'{source}: {found.format}, {len(found.records)} images, {len(found.classes)} classes')
    if palette and found.format not in FORMATS_WITH_PALETTE:
        raise UserMistake(f'--palette {palette} is for masks of colours, not for {found.format}')
    records = _usable(found, background)
    if not records:
        raise UserMistake(_nothing(source, found))
    table = make_table(found, classes, merge, background)
    labels = table.labels(smaller_on_top, line_width)
    unfinished = _make_beside(out)
    try:
        writer = DatasetWriter(unfinished, table, labels)
        unplaced = _write_all(writer, files, records, found.failures)
        if not unplaced:
            raise UserMistake(_nothing(source, found))
        # Drawn from what was written: damaged images may not be all that there is to train on.
        splits = split([record for record, _ in unplaced], rule)
        written = [writer.place(pair, splits.of[record.name]) for record, pair in unplaced]
        drawn_by = dict(by=splits.by, val=val, test=test, group=group)
        path = dict(format=found.format, path=str(source.resolve()))
        writer.write_description(written, path, drawn_by)
        sheet = draw_contact_sheet(unfinished, written, table.classes)
        sheet.save(unfinished / CONTACT_SHEET, quality=92)
        unfinished.chmod(0o777 & ~_umask())
        if out.exists():
            out.rmdir()
        os.rename(unfinished, out)
    except OSError as error:
        raise UserMistake(
            f'--out {out} cannot be written: {error.strerror or error}; nothing of it is left'
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    notes = [*found.notes, *splits.notes, *_unused(table, written)]
    return Report(found.format, table, written, found.failures, notes)


def require_no_data(out: Path) -> None:
    """Refuses to write over what is there.

    Raises:
        UserMistake: If the folder holds something, or is a file.
    """
    if out.is_dir() and any(out.iterdir()):
        raise UserMistake(f'--out {out} is a folder with files; name another, or remove it')
    if out.exists() and not out.is_dir():
        raise UserMistake(f'--out {out} is a file; name a folder that does not exist')


def _make_beside(out: Path) -> Path:
    """Makes a hidden folder, which a renaming puts into its place whole or not at all."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f'.{out.name}.', dir=out.parent))
    except OSError as error:
        raise UserMistake(f'--out {out} cannot be made: {error.strerror}') from error


def _usable(found: Source, background: str | None) -> list[Record]:
    """Leaves out images of which nothing would be learnt, and those that come twice."""
    records: dict[str, Record] = {}
    bare = []
    for record in found.records:
        is_bare = isinstance(record.annotation, Shapes) and not record.annotation.shapes
        if is_bare and background is None:
            bare.append(record.name)
        elif record.name in records:
            other = records[record.name].origin
            reason = f'{record.origin} annotates it, and {other} does so too, which is taken'
            found.failures.append(Failure(record.name, reason))
        else:
            records[record.name] = record
    if bare:
        found.notes.append(
            f'{len(bare)} images without a shape are left out, such as {bare[0]}; with '
            '--background NAME they are images of background'
        )
    return [records[name] for name in sorted(records)]


def _write_all(
    writer: DatasetWriter, files: SourceFiles, records: Sequence[Record], failures: list[Failure]
) -> list[tuple[Record, Written]]:
    names = name_files(records)

    def write(record: Record) -> Written | Failure:
        return writer.write(record, names[record.name])

    written = []
    results = files.in_parallel(write, records, 'writing')
    for record, result in zip(records, results, strict=True):
        if isinstance(result, Written):
            written.append((record, result))
        else:
            failures.append(result)
    return written


def _unused(table: ClassTable, written: Iterable[Written]) -> list[str]:
    """Says which classes cannot be learnt, because no image has them."""
    seen = set().union(*(pair.pixels for pair in written))
    names = [each.name for index, each in enumerate(table.classes) if index not in seen]
    if not names:
        return []
    return [f'{len(names)} classes are in no image: {listed(names)}; --classes drops them']


def _nothing(source: Path, found: Source) -> str:
    reasons = Counter(failure.reason for failure in found.failures).most_common(1)
    why = f', for example {found.failures[0].what}: {reasons[0][0]}' if reasons else ''
    notes = f'; {found.notes[0]}' if found.notes and not why else ''
    return f'{source} ({found.format}) holds no image that can be converted{why}{notes}'


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
