_base_ = './ccaseg_b0.py'

model = dict(
    backbone=dict(
        init_cfg=dict(checkpoint='ckpt/mit_b1_20220624-02e5a6a1.pth'),
        embed_dims=64,
    ),
    decode_head=dict(in_channels=[64, 128, 320, 512], channels=256),
)
