"""Which images are for training, which for validation and testing."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from segheads.mistakes import UserMistake

from .records import Record

TRAIN, VAL, TEST = 'train', 'val', 'test'


@dataclass(frozen=True)
class SplitRule:
    """How a split is drawn where the source has none.

    Attributes:
        val (float): Share of the validation images, from 0 to 1. Default: 0.1.
        test (float): Share of the test images. Default: 0.
        group (str | None): Regular expression: names in which it finds the same stay together. If
            it has groups, the first one counts. Default: None.
    """

    val: float = 0.1
    test: float = 0.0
    group: str | None = None

    def check(self) -> None:
        """Checks what can be checked without images.

        Raises:
            UserMistake: If the rule is none.
        """
        if not (0 <= self.val and 0 <= self.test and self.val + self.test < 1):
            raise UserMistake(
                f'--val {self.val:g} and --test {self.test:g} leave no image to train on; their '
                'sum must be below 1'
            )
        try:
            re.compile(self.group or '')
        except re.error as error:
            raise UserMistake(
                f'--group {self.group!r} is no regular expression: {error}'
            ) from error


class Split(NamedTuple):
    """A split.

    Attributes:
        by (str): 'source' or 'hash', which says what drew it.
        of (Mapping[str, str]): The split of each image by its name in the source.
        notes (list[str]): What the user should know.
    """

    by: str
    of: Mapping[str, str]
    notes: list[str]


def split(records: Sequence[Record], rule: SplitRule) -> Split:
    """Splits images as the source says, or by a hash of their names.

    A hash moves no image when others are added. What the source keeps for testing is kept; if it
    names no validation images, they are drawn from the rest.

    Args:
        records (Sequence[Record]): The images.
        rule (SplitRule): How to draw, checked.

    Returns:
        Split: The split.

    Raises:
        UserMistake: If the regular expression is found in no name.
    """
    if {TRAIN, VAL} <= {record.split for record in records}:
        return Split('source', {r.name: r.split or TRAIN for r in records}, [])
    fixed = {r.name: r.split for r in records if r.split in (TEST, VAL)}
    if len(fixed) == len(records):  # all are of one split, which says nothing
        fixed = {}
    drawn = [record.name for record in records if record.name not in fixed]
    groups, notes = _groups(drawn, rule)
    shares = {group: _share(group) for group in groups}
    test = rule.test if TEST not in fixed.values() else 0.0
    val = rule.val if VAL not in fixed.values() else 0.0
    splits = {
        group: TEST if number < test else VAL if number < test + val else TRAIN
        for group, number in shares.items()
    }
    in_order = sorted(shares, key=shares.get)
    if val and len(in_order) > 1 and VAL not in splits.values():
        first = next(group for group in in_order if splits[group] == TRAIN)
        splits[first] = VAL
        notes.append(f'too few images for a share of {val:g}: {len(groups[first])} for validation')
    if in_order and TRAIN not in splits.values():
        splits[in_order[-1]] = TRAIN
    of = {name: splits[group] for group, names in groups.items() for name in names}
    of |= fixed
    if rule.val and VAL not in of.values():
        notes.append('no image is for validation: all are one group, or there is only one')
    return Split('hash', of, notes)


def _groups(names: Sequence[str], rule: SplitRule) -> tuple[dict[str, list[str]], list[str]]:
    if rule.group is None:
        return {name: [name] for name in names}, []
    pattern = re.compile(rule.group)
    groups: dict[str, list[str]] = {}
    alone = 0
    for name in names:
        match = pattern.search(name)
        alone += match is None
        key = name if match is None else match[pattern.groups and 1] or match[0]
        groups.setdefault(key, []).append(name)
    if alone == len(names) and names:
        raise UserMistake(f'--group {rule.group!r} is found in no name, such as {names[0]}')
    notes = [f'{len(names)} images in {len(groups)} groups by {rule.group!r}']
    if alone:
        notes.append(f'{alone} of them have names without it, and are groups of their own')
    return groups, notes


def _share(name: str) -> float:
    """Maps a name to a number from 0 to 1, evenly and always the same."""
    digest = hashlib.sha256(name.encode('utf-8', 'surrogateescape')).digest()
    return int.from_bytes(digest[:8], 'big') / 2**64
