"""Small segmentors for the tests of exporting."""

import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from round_trip import images
from test_any_encoder import COMMON, build
from torch import Tensor, nn

FCN = dict(COMMON, type='FCNHead', num_convs=1, concat_input=False)
PREPROCESSOR = dict(
    type='SegDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
)


@MODELS.register_module()
class FourConvolutions(nn.Module):
    """The least that yields maps at strides 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 8, 12, 16, 20)
        self.stages = nn.ModuleList(
            nn.Conv2d(before, width, 2 * stride - 1, stride, padding=stride - 1)
            for before, width, stride in zip(widths, widths[1:], (4, 2, 2, 2), strict=False)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode."""
        maps = []
        for stage in self.stages:
            x = stage(x).relu()
            maps.append(x)
        return maps


def build_segmentor(head: dict | list = FCN, backbone: dict | None = None) -> nn.Module:
    """Build a segmentor whose norms and classifier have something to do."""
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = build(
        backbone=backbone or dict(type='FourConvolutions'),
        decode_head=head,
        data_preprocessor=PREPROCESSOR,
    )
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    _let_every_class_win(model.eval())
    return model


@torch.no_grad()
def _let_every_class_win(model: nn.Module) -> None:
    """Shift the logits so that each class has the same mean over the images of the round trip.

    Then none can be ahead everywhere, whatever the weights.
    """
    mean, std = (torch.tensor(PREPROCESSOR[name])[:, None, None] for name in ('mean', 'std'))
    means = []
    for image in images():
        pixels = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)
        logits = model(((pixels - mean) / std)[None], mode='tensor')
        means.append(logits.mean((0, 2, 3)))
    head = model.decode_head
    classifier = (head[-1] if isinstance(head, nn.ModuleList) else head).conv_seg
    classifier.bias -= torch.stack(means).mean(0)
