"""The best checkpoint under a name that does not change."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

BEST = 'best.pth'


@HOOKS.register_module()
class BestCheckpointHook(Hook):
    """Keeps ``best.pth`` in the work directory beside MMEngine's ``best_mIoU_iter_400.pth``.

    It is the same file under a second name where the file system can, else a copy, and it is
    replaced as a whole. The checkpoint hook has to have ``save_best``.
    """

    # After the checkpoint hook, whose priority it is: custom hooks come behind default ones.
    priority = 'VERY_LOW'

    def after_val_epoch(self, runner: Runner, metrics: dict[str, Any] | None = None) -> None:
        """Renews ``best.pth`` after a validation that was the best so far."""
        if not is_main_process():
            return
        for hook in runner.hooks:
            best = isinstance(hook, CheckpointHook) and getattr(hook, 'best_ckpt_path', None)
            if best and Path(best).is_file():
                name_best(Path(best), Path(runner.work_dir) / BEST)


def name_best(checkpoint: Path, target: Path) -> None:
    """Gives a file a second name, over what has had it.

    Args:
        checkpoint (Path): The file.
        target (Path): Its other name.
    """
    if target.exists() and target.samefile(checkpoint):
        return
    new = target.with_name(f'.{target.name}.{os.getpid()}')
    try:
        try:
            os.link(checkpoint, new)
        except OSError:
            shutil.copyfile(checkpoint, new)
        os.replace(new, target)
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)
