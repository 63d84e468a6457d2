"""Translation of released names that lie outside the head.

A load-state-dict hook sees the keys below its own module only. Where a release names the encoder or
an auxiliary branch differently, the hook must sit on the model, which MMSegmentation builds, and
which a head never meets. PyTorch tells whoever asks about each module that becomes a part of
another; so a head in whose class ``released_model_keys`` is given brings its tables to the model,
and MMSegmentation's MiT, which knows its own names only, learns those of NVIDIA's files.
"""

from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook

from .mit import translate_mit


def register_with_model(model: nn.Module, name: str, part: nn.Module | None) -> None:
    """Let a model translate the released names that its decode head declares, and a MiT NVIDIA's.

    Args:
        model (nn.Module): A module of which ``part`` becomes a part.
        name (str): Name of the part in it.
        part (nn.Module, optional): The part. Its ``released_model_keys``, if it has any, are
            the tables (:class:`KeyTable`) to apply, one after another, to the keys of the model.
    """
    if name == 'layers' and _is_mit(model) and not hasattr(model, name):
        model._register_load_state_dict_pre_hook(translate_mit, with_module=True)
    if name == 'decode_head' and getattr(model, name, None) is not part:
        for table in getattr(part, 'released_model_keys', ()):
            table.register(model)


def _is_mit(module: nn.Module) -> bool:
    # Here, because MMSegmentation cannot be imported before segheads.compat has prepared it.
    from mmseg.models.backbones import MixVisionTransformer

    return isinstance(module, MixVisionTransformer)


register_module_module_registration_hook(register_with_model)
