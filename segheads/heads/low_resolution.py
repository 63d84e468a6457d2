"""Logits as the heads compute them, for whom up-samples them by itself.

A decode head of MMSegmentation up-samples its logits to the size of the image in two methods of
its base class, before its losses and before the segmentor see them. Both methods are replaced here,
for all heads, ours and MMSegmentation's; whoever does not ask for logits at low resolution gets
what the original methods give.
"""

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.utils import SampleList
from torch import Tensor, nn

from segheads.losses import UpsamplingLoss

# In the metainfo of the first image: that the segmentor up-samples the logits.
KEEP_LOW_RESOLUTION = 'keep_low_resolution'

mmseg_loss_by_feat = BaseDecodeHead.loss_by_feat
mmseg_predict_by_feat = BaseDecodeHead.predict_by_feat


def loss_by_feat(
    head: BaseDecodeHead, seg_logits: Tensor, batch_data_samples: SampleList
) -> dict[str, Tensor]:
    """Compute the losses of a head, with low-resolution logits for each :class:`UpsamplingLoss`.

    Args:
        head (BaseDecodeHead): The head; other losses in its ``loss_decode`` get up-sampled logits.
        seg_logits (Tensor): Logits (B, num_classes, h, w).
        batch_data_samples (list[SegDataSample]): The labels of the images.

    Returns:
        dict[str, Tensor]: Losses by name, those of one name summed, and the pixel accuracy.
    """
    losses_decode = head.loss_decode
    if not isinstance(losses_decode, nn.ModuleList):
        losses_decode = [losses_decode]
    if not any(isinstance(loss, UpsamplingLoss) for loss in losses_decode):
        return mmseg_loss_by_feat(head, seg_logits, batch_data_samples)

    labels = head._stack_batch_gt(batch_data_samples)

    def upsampled() -> Tensor:
        return resize(
            seg_logits, labels.shape[2:], mode='bilinear', align_corners=head.align_corners
        )

    weight = None
    if head.sampler is not None:
        with torch.no_grad():
            weight = head.sampler.sample(upsampled(), labels)
    settings = dict(weight=weight, ignore_index=head.ignore_index)

    losses = {}
    for loss_decode in losses_decode:
        if isinstance(loss_decode, UpsamplingLoss):
            loss, accuracy = loss_decode.loss_and_accuracy(
                seg_logits, labels.squeeze(1), align_corners=head.align_corners, **settings
            )
        else:
            loss = loss_decode(upsampled(), labels.squeeze(1), **settings)
        losses[loss_decode.loss_name] = losses.get(loss_decode.loss_name, 0) + loss
    losses['acc_seg'] = accuracy
    return losses


def predict_by_feat(
    head: BaseDecodeHead, seg_logits: Tensor, batch_img_metas: list[dict]
) -> Tensor:
    """Up-sample the logits of a head, unless the segmentor does that.

    Args:
        head (BaseDecodeHead): The head.
        seg_logits (Tensor): Logits (B, num_classes, h, w).
        batch_img_metas (list[dict]): Metainfo of the images.

    Returns:
        Tensor: Logits (B, num_classes, H, W), or as they were.
    """
    if batch_img_metas[0].get(KEEP_LOW_RESOLUTION):
        return seg_logits
    return mmseg_predict_by_feat(head, seg_logits, batch_img_metas)


BaseDecodeHead.loss_by_feat = loss_by_feat
BaseDecodeHead.predict_by_feat = predict_by_feat
