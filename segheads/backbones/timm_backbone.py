"""MMSegmentation's door to timm, for weights in a file of timm's too."""

from typing import Any

from mmseg.models.backbones import TIMMBackbone as MMSegTIMMBackbone
from mmseg.registry import MODELS

from segheads.checkpoints.timm_encoder import translate_timm_encoder


@MODELS.register_module(force=True)
class TIMMBackbone(MMSegTIMMBackbone):
    """Any encoder of timm, which takes the place of MMSegmentation's class of the same name.

    MMSegmentation's class hands a local file to timm as it is, which fails on the classifier in it,
    and takes no ``init_cfg``. This one loads a file as any encoder does, whatever a classifier it
    holds, and under the names by which timm, or the authors whose weights timm has converted, saved
    it: ``init_cfg=dict(type='Pretrained', checkpoint='model.safetensors')``. Everything else is
    MMSegmentation's.

    Args:
        model_name (str): Name of the model in timm.
        features_only (bool): Whether it yields feature maps. Default: True.
        pretrained (bool): Whether timm downloads its weights. A file takes precedence.
            Default: True.
        checkpoint_path (str, optional): A file, as in ``init_cfg``. Default: ''.
        in_channels (int): Channels of the image. Default: 3.
        init_cfg (dict, optional): Where weights come from. Default: None.
        **settings: Whatever else ``timm.create_model`` takes, such as ``out_indices``.

    Raises:
        ValueError: If ``checkpoint_path`` and ``init_cfg`` are both given.
    """

    def __init__(
        self,
        model_name: str,
        features_only: bool = True,
        pretrained: bool = True,
        checkpoint_path: str = '',
        in_channels: int = 3,
        init_cfg: dict | None = None,
        **settings: Any,
    ) -> None:
        if checkpoint_path and init_cfg:
            raise ValueError('TIMMBackbone: give either checkpoint_path or init_cfg, not both.')
        if checkpoint_path:
            init_cfg = dict(type='Pretrained', checkpoint=checkpoint_path)
        # As timm.create_model takes them, to build the network of a file in the same way.
        self.settings: dict[str, Any] = {}
        self.pretrained = pretrained and not init_cfg
        super().__init__(
            model_name,
            features_only=features_only,
            pretrained=self.pretrained,
            in_channels=in_channels,
            init_cfg=init_cfg,
            **settings,
        )
        if 'norm_layer' in settings:
            from mmengine.registry import MODELS as LAYERS

            settings['norm_layer'] = LAYERS.get(settings['norm_layer'])
        self.settings = dict(
            settings, model_name=model_name, features_only=features_only, in_chans=in_channels
        )
        self._register_load_state_dict_pre_hook(translate_timm_encoder, with_module=True)
