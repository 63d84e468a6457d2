"""How long a model takes for an image in PyTorch, in a process of its own; see runtime/timing."""

import sys
import warnings
from collections.abc import Callable

import torch
from mmseg.structures import SegDataSample

from segheads.checkpoints import trust_checkpoints
from segheads.freed_memory import keep_freed_memory
from segheads.mistakes import UserMistake
from segheads.runtime.timing import answer, picture
from segheads.segmentors.image_channels import image_channels

from .loading import load


def main() -> None:
    """Times the model of the command line: CONFIG CHECKPOINT DEVICE THREADS HEIGHT WIDTH TRUSTED.

    What is not given is empty.
    """
    config, checkpoint, device, threads, height, width, trusted = sys.argv[1:]
    keep_freed_memory()
    warnings.simplefilter('ignore')
    torch.set_num_threads(int(threads))

    def prepare() -> Callable[[], None]:
        with trust_checkpoints(bool(trusted)):
            model = load(config, checkpoint or None, device or None)
        size = int(height), int(width)
        image = torch.from_numpy(picture(image_channels(model.backbone), *size))

        @torch.no_grad()
        def run() -> None:
            sample = SegDataSample(metainfo=dict(ori_shape=size, img_shape=size))
            (result,) = model.test_step(dict(inputs=[image], data_samples=[sample]))
            result.pred_sem_seg.data.cpu()

        return run

    answer(prepare, UserMistake)


if __name__ == '__main__':
    main()
