norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='LeanEncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(512, 512),
        # As released, images are padded in testing. The network itself takes any size.
        test_cfg=dict(size_divisor=32),
    ),
    backbone=dict(
        type='EfficientFormerV2',
        arch='S1',
        norm_cfg=norm_cfg,
        init_cfg=dict(type='Pretrained', checkpoint='ckpt/eformer_s1_450.pth'),
    ),
    # The map at stride 4 takes no part.
    decode_head=dict(
        type='CGRSegHead',
        in_channels=[48, 120, 224],
        in_index=[1, 2, 3],
        channels=128,
        num_context_blocks=5,
        context_strip_size=11,
        strip_size=11,
        square_size=3,
        strip_reduction=1,
        mlp_ratio=2,
        depthwise_embedding=True,
        dropout_ratio=0.1,
        num_classes=150,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type='UpsampledCrossEntropyLoss', loss_weight=1.0),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
