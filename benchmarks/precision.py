"""Loss curves in float32 and under bfloat16 autocast: ``python -m benchmarks.precision``.

Each head trains behind a tiny MiT on SyntheticScenes, twice with one seed, and with another seed in
float32: how far that curve is from the first one is the noise.
"""

import argparse
import random
import statistics

import numpy as np
import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DATASETS, MODELS
from torch import Tensor, nn

SIZE = (96, 128)
NUM_CLASSES = 8
WIDTHS = [16, 32, 32, 64]  # of a MiT with these numbers of attention heads
BATCH = 4
HEADS = dict(
    CCASeg=dict(type='CCASegHead', in_channels=WIDTHS, channels=32, num_blocks=2),
    SASFormer=dict(
        type='SASFormerHead', in_channels=WIDTHS, channels=32, num_heads=(1, 2, 2, 4)
    ),
    CGRSeg=dict(
        type='CGRSegHead', in_channels=WIDTHS[1:], in_index=[1, 2, 3], channels=32,
        num_context_blocks=2,
    ),
    CCSNet=dict(type='CCSNetHead', in_channels=WIDTHS, channels=32, top_k=4),
    PCAA=dict(type='PCAAHead', in_channels=WIDTHS[1], in_index=1, channels=32),
)  # fmt: skip
COARSE = dict(
    type='FCNHead', in_channels=WIDTHS[2], in_index=2, channels=32, num_convs=1,
    concat_input=False, num_classes=NUM_CLASSES,
)  # fmt: skip


def build(head: str) -> nn.Module:
    """Build a small model with one of the heads."""
    cfg = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor', mean=[127.5] * 3, std=[64.0] * 3, size=SIZE
        ),
        backbone=dict(
            type='MixVisionTransformer',
            embed_dims=16,
            num_layers=[1] * 4,
            num_heads=[1, 2, 2, 4],
            sr_ratios=[8, 4, 2, 1],
        ),
        decode_head={**HEADS[head], 'num_classes': NUM_CLASSES},
    )
    if head == 'CCSNet':
        cfg |= dict(type='CascadeEncoderDecoder', num_stages=2)
        cfg['decode_head'] = [COARSE, cfg['decode_head']]
    model = revert_sync_batchnorm(MODELS.build(cfg))
    model.init_weights()
    return model


def train(head: str, scenes: list[dict], iterations: int, seed: int, mixed: bool) -> list[float]:
    """Train and return the loss of each iteration."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    model = build(head).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    order = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(iterations):
        chosen = torch.randint(0, len(scenes), (BATCH,), generator=order).tolist()
        data = dict(
            inputs=[scenes[index]['inputs'] for index in chosen],
            data_samples=[scenes[index]['data_samples'].clone() for index in chosen],
        )
        data = model.data_preprocessor(data, training=True)
        with torch.autocast('cpu', torch.bfloat16, enabled=mixed):
            terms: dict[str, Tensor] = model.loss(data['inputs'], data['data_samples'])
        loss = sum(value for name, value in terms.items() if 'loss' in name)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def main() -> None:
    """Train all heads and print the means of their losses over quarters of the training."""
    parser = argparse.ArgumentParser(description='Compare float32 and bfloat16 training')
    parser.add_argument('--iterations', type=int, default=200, help='iterations of each training')
    parser.add_argument('--heads', nargs='+', default=list(HEADS), choices=list(HEADS))
    options = parser.parse_args()
    pipeline = [dict(type=name) for name in ('LoadImageFromFile', 'LoadAnnotations')]
    dataset = DATASETS.build(
        dict(
            type='SyntheticScenes',
            length=64,
            size=SIZE,
            pipeline=[*pipeline, dict(type='PackSegInputs')],
        )
    )
    scenes = [dataset[index] for index in range(len(dataset))]
    torch.set_num_threads(1)
    print('| head | run | mean loss of each quarter |\n|---|---|---|')
    for head in options.heads:
        for run, seed, mixed in (
            ('float32', 0, False),
            ('bfloat16 autocast', 0, True),
            ('float32, another seed', 1, False),
        ):
            losses = train(head, scenes, options.iterations, seed, mixed)
            quarter = options.iterations // 4
            means = (statistics.mean(losses[i * quarter : (i + 1) * quarter]) for i in range(4))
            print(f'| {head} | {run} | {", ".join(f"{x:.3f}" for x in means)} |', flush=True)


if __name__ == '__main__':
    main()
