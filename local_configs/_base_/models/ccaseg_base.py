# Ours: the authors' README names this encoder, their release has no config for it.
_base_ = './ccaseg_small.py'

model = dict(
    backbone=dict(
        init_cfg=dict(checkpoint='ckpt/mscan_b_20230227-3ab7d230.pth'),
        depths=[3, 3, 12, 3],
    ),
)
