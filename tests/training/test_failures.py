"""Errors that the images of a batch explain are told by these images."""

from pathlib import Path

import pytest
from tiny_run import CONFIG, FROM_SCRATCH, command, sentence

from segheads.training.failures import batches_told

AUGMENTATION = """
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale_factor=factor, keep_ratio=True) for factor in (0.5, 1.0)],
            [dict(type='LoadAnnotations')],
            [dict(type='PackSegInputs')],
        ],
    ),
]
"""


def test_a_scale_of_augmentation_makes_images_too_small(workspace):
    Path('tiny.py').write_text(CONFIG + AUGMENTATION)
    command('train')(['tiny.py', *FROM_SCRATCH])
    told = sentence(command('test'), ['tiny.py', 'work_dirs/tiny/iter_2.pth', '--tta'])
    assert told.startswith('the image data/images/val/0.png is too small for the model: a scale of')
    assert 'yields 20x24 pixels' in told


def test_errors_that_no_batch_explains_stay():
    with pytest.raises(ZeroDivisionError), batches_told():
        1 / 0  # noqa: B018
