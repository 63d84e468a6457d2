# EfficientNet-Lite0 of timm, with ImageNet weights that a package carries: docs/weights.md.
_base_ = './sasformer_b0.py'

model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        _delete_=True,
        type='TIMMBackbone',
        model_name='tf_efficientnet_lite0',
        pretrained=False,
        out_indices=(1, 2, 3, 4),
        init_cfg=dict(type='Pretrained', checkpoint='ckpt/efficientnet-lite0-57934424.pth'),
    ),
    decode_head=dict(in_channels=[24, 40, 112, 320]),
)
