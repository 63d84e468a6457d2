"""What an exported file computes: from an image to its logits or its class map."""

import torch
from mmengine.model import revert_sync_batchnorm
from mmseg.models.utils import resize
from torch import Tensor, nn
from torch.nn import functional as F

from segheads.fusion import fuse
from segheads.inference.images import ImageReader
from segheads.mistakes import UserMistake
from segheads.segmentors.image_channels import image_channels

from .mmseg_forms import missing


class DeployedModel(nn.Module):
    """A segmentor as one function of one tensor.

    The image is segmented whole: ``test_cfg.mode='slide'`` does not become part of it.

    Args:
        segmentor (nn.Module): ``EncoderDecoder``, ``CascadeEncoderDecoder`` or one derived from
            them, on a CPU. It is switched to evaluation, and a copy is taken of it with its batch
            norms folded into the convolutions (:func:`segheads.fuse`).
        with_preprocessing (bool): Whether the image is given as the loading transform of the config
            yields it, and converted and normalised inside: in the order of channels of the data
            pipeline (BGR, as OpenCV has it, in all configs here), in uint8 where the config loads 8
            bits, else in float32, with the values of the files. Without, it is given in float32 as
            the ``data_preprocessor`` yields it. Default: False.
        with_argmax (bool): Whether class indices are returned instead of logits. Default: False.
    """

    def __init__(
        self, segmentor: nn.Module, with_preprocessing: bool = False, with_argmax: bool = False
    ) -> None:
        super().__init__()
        self.segmentor = fuse(revert_sync_batchnorm(segmentor).eval())
        form = ImageReader(getattr(segmentor, 'cfg', None)).form
        self.takes_bytes = with_preprocessing and form.bits == 8
        self.with_preprocessing = with_preprocessing
        self.with_argmax = with_argmax
        self.padding = _padding(segmentor) if with_preprocessing else 1
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        """Segment images.

        Args:
            image (Tensor): Images (B, C, H, W), uint8 or float32 as said above.

        Returns:
            Tensor: Logits (B, num_classes, H, W), or class indices (B, H, W) in int64.
        """
        return self.output(self.low_resolution_logits(image), *image.shape[2:])

    def output(self, low_resolution_logits: Tensor, height: int, width: int) -> Tensor:
        """Return what ``forward`` does, of logits (B, num_classes, h, w)."""
        logits = self._resize(low_resolution_logits, height, width)
        return self.classes(logits) if self.with_argmax else logits

    def logits(self, image: Tensor) -> Tensor:
        """Return the logits (B, num_classes, H, W) of images (B, C, H, W), at their size."""
        return self._resize(self.low_resolution_logits(image), *image.shape[2:])

    def low_resolution_logits(self, image: Tensor) -> Tensor:
        """Return the logits (B, num_classes, h, w) of the head, which cover the padding."""
        return self.segmentor(
            self._preprocess(image) if self.with_preprocessing else image, mode='tensor'
        )

    def classes(self, logits: Tensor) -> Tensor:
        """Return the class indices (B, H, W) of logits (B, num_classes, H, W)."""
        if logits.shape[1] > 1:
            return logits.argmax(dim=1)
        return (logits.squeeze(1).sigmoid() > self.threshold).long()

    def example(self, batch: int, height: int, width: int) -> Tensor:
        """Draw images of noise, the same in each call, of the type that ``forward`` takes."""
        generator = torch.Generator().manual_seed(0)
        shape = (batch, image_channels(self.segmentor.backbone), height, width)
        if self.takes_bytes:
            return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        noise = torch.randn(shape, generator=generator)
        preprocessor = self.segmentor.data_preprocessor
        if self.with_preprocessing and preprocessor._enable_normalize:
            # Noise that is normalised to noise, whatever the unit of the values.
            return noise * preprocessor.std + preprocessor.mean
        return noise

    @property
    def threshold(self) -> float | None:
        """The probability from which on a pixel is of the single class of a binary model."""
        head = self.segmentor.decode_head
        return (head[-1] if isinstance(head, nn.ModuleList) else head).threshold

    def _preprocess(self, image: Tensor) -> Tensor:
        preprocessor = self.segmentor.data_preprocessor
        if preprocessor.channel_conversion and image.shape[1] == 3:
            image = image.flip(1)
        x = image.float()
        if preprocessor._enable_normalize:
            x = (x - preprocessor.mean) / preprocessor.std
        if self.padding > 1:
            below, right = (missing(extent, self.padding) for extent in x.shape[2:])
            x = F.pad(x, (0, right, 0, below), value=preprocessor.pad_val)
        return x

    def _resize(self, logits: Tensor, height: int, width: int) -> Tensor:
        padded = [extent + missing(extent, self.padding) for extent in (height, width)]
        align_corners = self.segmentor.align_corners
        # Without the warning of MMSegmentation, which would look at the size.
        logits = resize(logits, padded, None, 'bilinear', align_corners, warning=False)
        return logits[:, :, :height, :width] if self.padding > 1 else logits


def _padding(segmentor: nn.Module) -> int:
    """Return what the sides of an image are padded to a multiple of."""
    settings = segmentor.data_preprocessor.test_cfg or {}
    if not settings:
        return 1
    if settings.get('size') or segmentor.test_cfg.get('mode') == 'slide':
        raise UserMistake(
            '--with-preprocessing takes no padding to a fixed size, and none under sliding windows '
            f'(data_preprocessor.test_cfg={dict(settings)}); export without it'
        )
    return settings['size_divisor']
