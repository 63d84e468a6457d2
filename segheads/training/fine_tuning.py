"""Starting from a model that was trained for other classes."""

from collections.abc import Iterator, MutableMapping
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor, nn

from segheads.checkpoints.fit import bare_model, unfit_weights
from segheads.mistakes import UserMistake, tell

# MMSegmentation's name for the classifier of any head, and the one that PCAA has in addition.
CLASSIFIERS = ('conv_seg', 'class_activation')


@HOOKS.register_module()
class FineTuneHook(Hook):
    """Lets the Runner load everything from ``load_from`` but the classifiers.

    The classifiers of all heads keep their initial weights, also where the number of classes is the
    same: the classes are others. Everything else must fit.
    """

    # After hooks that change the checkpoint, such as the EMAHook.
    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self.handles: list[Any] = []

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keeps the classifiers of the model out of the checkpoint that has just been read.

        Args:
            runner (Runner): The runner, which loads the checkpoint next.
            checkpoint (dict): The checkpoint.

        Raises:
            UserMistake: If something else than the classifiers does not fit.
        """
        model = bare_model(runner.model)
        new = dict(find_classifiers(model))
        for classifier in new.values():
            self.handles.append(
                classifier._register_load_state_dict_pre_hook(keep_weights, with_module=True)
            )
        unfit = unfit_weights(model, checkpoint.get('state_dict', checkpoint))
        if unfit:
            raise UserMistake(
                f'--fine-tune: the checkpoint does not fit the model: it {unfit}; only '
                f'classifiers ({", ".join(new)}) may differ, so give the config that it was '
                'trained with, and change num_classes in it'
            )
        tell(
            f'Fine-tuning: every weight is loaded but those of {", ".join(new)}, which start anew.'
        )

    def before_train(self, runner: Runner) -> None:
        """Lets the classifiers load weights again."""
        while self.handles:
            self.handles.pop().remove()


def start_from_other_classes(cfg: Config, checkpoint: str) -> None:
    """Lets a run start from a checkpoint, but with new classifiers.

    Args:
        cfg (Config): The config of the run; it is changed in place.
        checkpoint (str): The checkpoint.

    Raises:
        UserMistake: If the run is to be resumed.
    """
    if cfg.resume:
        raise UserMistake(
            '--fine-tune starts a run and --resume continues one: to continue, leave --fine-tune '
            'out'
        )
    cfg.load_from = checkpoint
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='FineTuneHook')]


def find_classifiers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Finds the layers of a model that have one output per class.

    Args:
        model (nn.Module): A segmentation model.

    Yields:
        tuple[str, nn.Module]: The name of a layer and the layer.
    """
    for name, module in model.named_modules():
        if name.rpartition('.')[2] in CLASSIFIERS:
            yield name, module


def keep_weights(
    module: nn.Module, state_dict: MutableMapping[str, Tensor], prefix: str, *_: Any
) -> None:
    """Replaces the weights of a module in a checkpoint by those that the module has.

    A load-state-dict pre-hook: the names in the checkpoint have been translated when it is called.

    Args:
        module (nn.Module): The module.
        state_dict (MutableMapping): The checkpoint; it is changed in place.
        prefix (str): Of the module's weights in it.
    """
    for name, weight in module.state_dict().items():
        state_dict[prefix + name] = weight
