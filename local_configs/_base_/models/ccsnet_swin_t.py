_base_ = './ccsnet_b1.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='ckpt/swin_tiny_patch4_window7_224_20220317-1cdeb081.pth',
        ),
        pretrain_img_size=224,
        embed_dims=96,
        patch_size=4,
        window_size=7,
        mlp_ratio=4,
        depths=[2, 2, 6, 2],
        num_heads=[3, 6, 12, 24],
        strides=(4, 2, 2, 2),
        out_indices=(0, 1, 2, 3),
        qkv_bias=True,
        patch_norm=True,
        drop_rate=0.0,
        attn_drop_rate=0.0,
        drop_path_rate=0.3,
        use_abs_pos_embed=False,
        act_cfg=dict(type='GELU'),
        norm_cfg=dict(type='LN', requires_grad=True),
    ),
    decode_head=[
        dict(_base_.model.decode_head[0], in_channels=384),
        dict(_base_.model.decode_head[1], in_channels=[96, 192, 384, 768]),
    ],
)
