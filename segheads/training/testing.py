"""The test of a checkpoint by the metrics of its config."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from segheads import ranks
from segheads.checkpoints import trust_checkpoints
from segheads.checkpoints.fit import check_checkpoint_file
from segheads.configs.loading import default_work_dir, load_config, require_keys
from segheads.configs.preflight import check_data, check_modules
from segheads.configs.pretrained import forget_pretrained
from segheads.configs.signatures import check_arguments
from segheads.configs.unlabelled import prepare_unlabelled_test
from segheads.data.checks import leaf_datasets
from segheads.data.damage import skip_damaged_samples
from segheads.mistakes import tell

from . import processes
from .compilation import request_compilation
from .console import build_runner, live_line_ended
from .failures import batches_told

NEEDED = ('model', 'test_dataloader', 'test_cfg', 'test_evaluator')


def test(
    config: str,
    checkpoint: str,
    *,
    work_dir: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    out: str | None = None,
    show: bool = False,
    show_dir: str | None = None,
    wait_time: float = 2,
    augmented: bool = False,
    allow_partial: bool = False,
    compiled: bool = False,
    launcher: str = 'none',
    local_rank: int | None = None,
    trusted: bool = False,
    verbose: bool = False,
    skip_damaged: bool = False,
) -> dict[str, float]:
    """Tests a checkpoint.

    Args:
        config (str): A config file, or a name of :func:`segheads.list_models`.
        checkpoint (str): The checkpoint.
        work_dir (str | None): Where the log and the metrics are written; None for that of the
            config, else ``work_dirs/NAME_OF_CONFIG_FILE``. Default: None.
        cfg_options (Mapping | None): Settings of the config to override, by dotted keys.
            Default: None.
        out (str | None): A folder for the predicted class maps. Default: None.
        show (bool): Whether to show overlays in a window. Default: False.
        show_dir (str | None): A folder for overlays. Default: None.
        wait_time (float): Seconds that each overlay is shown. Default: 2.
        augmented (bool): Whether to augment at test time. Default: False.
        allow_partial (bool): Whether the checkpoint may lack weights of the model, which are
            random then. Default: False.
        compiled (bool): Whether to compile the networks. Default: False.
        launcher (str): What started the processes: 'none', 'pytorch', 'slurm' or 'mpi'.
            Default: 'none'.
        local_rank (int | None): What old launchers pass as ``--local_rank``. Default: None.
        trusted (bool): Whether the checkpoint may run code. Default: False.
        verbose (bool): Whether the whole log goes to the console too. Default: False.
        skip_damaged (bool): Whether to read all images and masks first, and to go on without those
            that are damaged. Default: False.

    Returns:
        dict[str, float]: The metrics.

    Raises:
        UserMistake: If anything in the arguments, the config or the data is wrong.
    """
    processes.check_launcher(launcher, local_rank)
    cfg = load_config(config, cfg_options)
    require_keys(cfg, NEEDED)
    check_arguments(cfg)
    cfg.launcher = launcher
    cfg.work_dir = work_dir or cfg.get('work_dir') or default_work_dir(config)

    check_checkpoint_file(checkpoint)
    check_modules(cfg)
    if skip_damaged:
        skip_damaged_samples(cfg)
    if reason := prepare_unlabelled_test(cfg, writes=bool(out or show or show_dir)):
        tell(f'There are no masks to compare with, and no metrics computed: {reason}.')
    check_data(cfg, ('test',), read_masks=ranks.local_rank() == 0)
    cfg.load_from = checkpoint
    cfg.resume = False
    forget_pretrained(cfg.model)
    if not allow_partial:
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='CheckpointFitHook')]

    if show:
        show_overlays(cfg, wait_time)
    if out or show_dir:
        save_predictions(cfg, out, show_dir)
    request_compilation(cfg, compiled)
    processes.prepare_processes(cfg)
    if augmented:
        augment(cfg)
    with trust_checkpoints(trusted):
        runner = build_runner(cfg, verbose)
        with live_line_ended(runner), batches_told():
            return runner.test()


def show_overlays(cfg: Config, wait_time: float) -> None:
    """Turns on MMSegmentation's visualization hook, for every image unless the config says else.

    Args:
        cfg (Config): The config of the test; it is changed in place.
        wait_time (float): Seconds that each overlay is shown.

    Raises:
        UserMistake: If the config has no visualizer.
    """
    require_keys(cfg, ('default_hooks', 'visualizer'))
    hook = dict(type='SegVisualizationHook', interval=1)
    hook.update(cfg.default_hooks.get('visualization') or {})
    cfg.default_hooks.visualization = dict(hook, draw=True, show=True, wait_time=wait_time)


def save_predictions(cfg: Config, class_maps: str | None, overlays: str | None) -> None:
    """Lets a test write class maps, as submissions to test servers need them, and overlays.

    Args:
        cfg (Config): The config of the test; it is changed in place.
        class_maps (str | None): A folder for class maps.
        overlays (str | None): A folder for overlays.
    """
    drawn = (cfg.get('default_hooks') or {}).get('visualization') or {}
    hook = dict(type='SavePredictionsHook', class_maps=class_maps, overlays=overlays)
    hook.update({name: drawn[name] for name in ('interval',) if overlays and name in drawn})
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]


def augment(cfg: Config) -> None:
    """Puts the config's test-time augmentation around data and model.

    Args:
        cfg (Config): The config of the test; it is changed in place.

    Raises:
        UserMistake: If the config has none.
    """
    require_keys(cfg, ('tta_model', 'tta_pipeline'))
    for _, dataset in leaf_datasets(cfg.test_dataloader.dataset, 'test_dataloader.dataset'):
        dataset.pipeline = cfg.tta_pipeline
    cfg.model = dict(cfg.tta_model, module=cfg.model)
