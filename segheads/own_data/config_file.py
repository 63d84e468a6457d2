"""The config of a training as a file that people read and edit."""

from pathlib import Path
from typing import Any

from segheads.data.listing import IMAGE_SUFFIXES

from .choices import VALIDATIONS, Choices
from .layout import Name, assign
from .networks import heads_of
from .survey import DataSurvey, SplitFiles

CONFIG_NAME = 'config.py'
MOST_WARM_UP = 1000
RATIOS_OF_TEST_TIME = (0.75, 1.0, 1.25)


def write_lists(survey: DataSurvey, work_dir: Path) -> None:
    """Writes the names of the images of each split into a work directory.

    Args:
        survey (DataSurvey): The data.
        work_dir (Path): The folder, which exists.
    """
    for name, files in survey.splits.items():
        text = ''.join(f'{each}\n' for each in files.names)
        list_file(work_dir, name).write_text(text, encoding='utf-8')


def list_file(work_dir: Path, split: str) -> Path:
    """Returns where the names of a split's images are."""
    return work_dir / f'{split}.txt'


def config_text(survey: DataSurvey, choices: Choices, work_dir: Path, command: str) -> str:
    """Writes the config of a training.

    Args:
        survey (DataSurvey): The data.
        choices (Choices): The settings.
        work_dir (Path): Where the training writes.
        command (str): The command that trains by the config, for its first line.

    Returns:
        str: A config of MMEngine without ``_base_``, with comments.
    """
    why = choices.reasons
    parts = [
        f'# `{command}` trains by this file; all of it may be edited.\n'
        + assign(
            default_scope='mmseg',
            custom_imports=dict(imports=['segheads'], allow_failed_imports=False),
            work_dir=str(work_dir),
        ),
        f'# Images: {why["images"]}\n# Classes: {why["classes"]}\n'
        + assign(classes=survey.classes.names, palette=survey.classes.colours),
        f'# Training takes crops: {why["crop"]}\n'
        + assign(train_pipeline=_train_pipeline(survey, choices)),
        '# Validation and prediction take whole images\n'
        + assign(test_pipeline=_test_pipeline(choices)),
        f'# Batch: {why["batch"]}\n'
        + assign(train_dataloader=_train_loader(survey, choices, work_dir))
        + assign(val_dataloader=_loader(survey, 'val', choices, work_dir))
        + _test_loader(survey, choices, work_dir),
        assign(val_evaluator=_evaluator(survey)) + 'test_evaluator = val_evaluator\n',
        f'# Network: {why["network"]}\n' + assign(model=_model(survey, choices)),
        '# Test-time augmentation, for `segheads test --tta` and `segheads predict --tta`\n'
        + assign(tta_model=dict(type='SegTTAModel'), tta_pipeline=_augmented_pipeline(choices)),
        f'# Learning rate: {why["rate"]}\n' + assign(optim_wrapper=choices.optim_wrapper),
        f'# Length: {why["length"]}\n' + _schedule(choices),
        _runtime(choices),
    ]
    return '\n'.join(parts)


def _train_pipeline(survey: DataSurvey, choices: Choices) -> list[dict[str, Any]]:
    height, width = choices.image_size
    return [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='RandomResize', scale=(width, height), ratio_range=(0.75, 1.5), keep_ratio=True),
        dict(
            type='RandomCrop',
            crop_size=choices.crop_size,
            cat_max_ratio=0.75,
            ignore_index=survey.classes.ignore_index,
        ),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PhotoMetricDistortion'),
        dict(type='PackSegInputs'),
    ]


def _test_pipeline(choices: Choices) -> list[dict[str, Any]]:
    height, width = choices.image_size
    resize = dict(type='Resize', scale=(width, height), keep_ratio=True)
    return [
        dict(type='LoadImageFromFile'),
        *([resize] if choices.is_scaled else []),
        # Behind the resizing: class maps are compared at the size of the masks.
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ]


def _augmented_pipeline(choices: Choices) -> list[dict[str, Any]]:
    height, width = choices.image_size
    resizes = [
        dict(type='Resize', scale=(round(width * ratio), round(height * ratio)), keep_ratio=True)
        if choices.is_scaled
        else dict(type='Resize', scale_factor=ratio, keep_ratio=True)
        for ratio in RATIOS_OF_TEST_TIME
    ]
    flips = [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0.0, 1.0)]
    steps = [resizes, flips, [dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]]
    return [dict(type='LoadImageFromFile'), dict(type='TestTimeAug', transforms=steps)]


def _dataset(files: SplitFiles, list_of_names: Path, pipeline: str) -> dict[str, Any]:
    suffixes = {Path(name).suffix for name in files.names}
    usual = next((each for each in IMAGE_SUFFIXES if each in suffixes), min(suffixes))
    return dict(
        type='BaseSegDataset',
        metainfo=Name('dict(classes=classes, palette=palette)'),
        data_prefix=dict(img_path=str(files.image_folder), seg_map_path=str(files.mask_folder)),
        ann_file=str(list_of_names),
        img_suffix=usual,
        seg_map_suffix=files.mask_suffix,
        pipeline=Name(pipeline),
    )


def _train_loader(survey: DataSurvey, choices: Choices, work_dir: Path) -> dict[str, Any]:
    files = survey.splits['train']
    return dict(
        batch_size=choices.batch_size // choices.processes,
        num_workers=choices.num_workers,
        persistent_workers=choices.num_workers > 0,
        sampler=dict(type='InfiniteSampler', shuffle=True),
        dataset=_dataset(files, list_file(work_dir, 'train'), 'train_pipeline'),
    )


def _loader(survey: DataSurvey, split: str, choices: Choices, work_dir: Path) -> dict[str, Any]:
    return dict(
        batch_size=1,
        num_workers=choices.num_workers,
        persistent_workers=choices.num_workers > 0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=_dataset(survey.splits[split], list_file(work_dir, split), 'test_pipeline'),
    )


def _test_loader(survey: DataSurvey, choices: Choices, work_dir: Path) -> str:
    if 'test' not in survey.splits:
        return 'test_dataloader = val_dataloader\n'
    return assign(test_dataloader=_loader(survey, 'test', choices, work_dir))


def _evaluator(survey: DataSurvey) -> dict[str, Any]:
    ignored = survey.classes.ignore_index
    return dict(type='IoUMetric', iou_metrics=['mIoU'], ignore_index=ignored)


def _model(survey: DataSurvey, choices: Choices) -> dict[str, Any]:
    model = choices.network.model
    ignored = survey.classes.ignore_index
    model['data_preprocessor'].update(size=choices.crop_size, seg_pad_val=ignored)
    for head in heads_of(model):
        head.update(num_classes=len(survey.classes.names), ignore_index=ignored)
        head.pop('out_channels', None)
    return model


def _schedule(choices: Choices) -> str:
    end = choices.iterations
    # The end of a run by time is a guess, and the warm-up does not move with it.
    warm_up = min(end // (20 if choices.minutes is None else 40), MOST_WARM_UP)
    schedulers = [
        dict(type='PolyLR', power=0.9, eta_min=0.0, begin=warm_up, end=end, by_epoch=False)
    ]
    if warm_up:
        first = dict(type='LinearLR', start_factor=1e-3, begin=0, end=warm_up, by_epoch=False)
        schedulers.insert(0, first)
    return assign(
        param_scheduler=schedulers,
        train_cfg=dict(
            type='IterBasedTrainLoop', max_iters=end, val_interval=-(-end // VALIDATIONS)
        ),
        val_cfg=dict(type='ValLoop'),
        test_cfg=dict(type='TestLoop'),
    )


def _runtime(choices: Choices) -> str:
    saving = dict(
        type='CheckpointHook',
        by_epoch=False,
        interval=-(-choices.iterations // VALIDATIONS),
        max_keep_ckpts=1,
        save_best='mIoU',
    )
    hooks: list[dict[str, Any]] = [dict(type='BestCheckpointHook')]
    limit = ''
    if choices.minutes is not None:
        # The report, for which time is kept, makes one validation more.
        hooks.append(dict(type='TimeLimitHook', minutes=choices.minutes, validations_after=1))
        limit = '; TimeLimitHook sets the number of iterations by the time they take'
    return (
        f'# Checkpoints: the last one, and the best one under the name best.pth{limit}\n'
        + assign(
            default_hooks=dict(
                timer=dict(type='IterTimerHook'),
                logger=dict(type='LoggerHook', interval=10, log_metric_by_epoch=False),
                param_scheduler=dict(type='ParamSchedulerHook'),
                checkpoint=saving,
                sampler_seed=dict(type='DistSamplerSeedHook'),
                visualization=dict(type='SegVisualizationHook'),
            ),
            custom_hooks=hooks,
            env_cfg=dict(
                cudnn_benchmark=True,
                mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
                dist_cfg=dict(backend='nccl'),
            ),
            vis_backends=[dict(type='LocalVisBackend')],
            visualizer=Name(
                "dict(type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer')"
            ),
            log_processor=dict(by_epoch=False),
            log_level='INFO',
            load_from=None,
        )
    )
