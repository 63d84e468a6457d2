_base_ = './ccsnet_b1.py'

model = dict(
    backbone=dict(
        init_cfg=dict(checkpoint='ckpt/mit_b0_20220624-7e0fe6dd.pth'),
        embed_dims=32,
    ),
    decode_head=[
        dict(_base_.model.decode_head[0], in_channels=160),
        dict(_base_.model.decode_head[1], in_channels=[32, 64, 160, 256]),
    ],
)
