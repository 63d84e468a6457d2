"""Translation of released names that lie outside the head.

A load-state-dict hook sees the keys below its own module only. Where a release names the encoder or
an auxiliary branch differently, the hook must sit on the model, which MMSegmentation builds, and
which a head never meets. PyTorch tells whoever asks about each module that becomes a part of
another; so a head in whose class ``released_model_keys`` is given brings its tables to the model,
and MMSegmentation's encoders and head of the same names as other libraries', which know their own
names only, learn those of the others' files.
"""

from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook

from .mit import translate_mit
from .timm_resnet import translate_timm_resnet
from .transformers_segformer import put_encoder_below_backbone, translate_segformer_head

MIT = 'MixVisionTransformer'
# By the part that comes first: the class that it is a part of, and what translates for that.
TRANSLATIONS = {
    'layers': [(MIT, translate_mit)],
    'convs': [('SegformerHead', translate_segformer_head)],
    'stem': [('ResNet', translate_timm_resnet)],
}


def register_with_model(model: nn.Module, name: str, part: nn.Module | None) -> None:
    """Let a model translate the released names that its decode head declares, and other libraries'.

    Args:
        model (nn.Module): A module of which ``part`` becomes a part.
        name (str): Name of the part in it.
        part (nn.Module, optional): The part. Its ``released_model_keys``, if it has any, are
            the tables (:class:`KeyTable`) to apply, one after another, to the keys of the model.
    """
    if name in TRANSLATIONS and not hasattr(model, name):
        for encoder_or_head, translate in TRANSLATIONS[name]:
            if _is(model, encoder_or_head):
                model._register_load_state_dict_pre_hook(translate, with_module=True)
    if name == 'backbone' and getattr(model, name, None) is not part and _is(part, MIT):
        model._register_load_state_dict_pre_hook(put_encoder_below_backbone)
    if name == 'decode_head' and getattr(model, name, None) is not part:
        for table in getattr(part, 'released_model_keys', ()):
            table.register(model)


def _is(module: nn.Module | None, name: str) -> bool:
    # By name, because MMSegmentation cannot be imported before segheads.compat has prepared it.
    return any(
        base.__name__ == name and base.__module__.startswith('mmseg.')
        for base in type(module).__mro__
    )


register_module_module_registration_hook(register_with_model)
