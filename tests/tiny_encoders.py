"""The encoders of MMSegmentation, timm and mmpretrain that a head meets, as small as they go."""

from typing import Any

BATCH_NORM = dict(type='BN')

RESNET = dict(depth=18, stem_channels=8, base_channels=8, norm_cfg=BATCH_NORM)
DILATED = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))
MOBILENET_V2 = dict(
    type='MobileNetV2', widen_factor=0.25, out_indices=(1, 2, 4, 6), norm_cfg=BATCH_NORM
)
# One width and one stride; position embeddings of one size, which ViT alone resizes.
PLAIN = dict(
    patch_size=16, embed_dims=24, num_layers=4, num_heads=3, mlp_ratio=2, out_indices=(0, 1, 2, 3)
)
FIXED_SIZE = dict(PLAIN, img_size=(96, 96))
TWINS = dict(
    embed_dims=[8, 16, 24, 32],
    num_heads=[1, 2, 2, 4],
    mlp_ratios=[2] * 4,
    patch_sizes=[4, 2, 2, 2],
    strides=[4, 2, 2, 2],
    sr_ratios=[8, 4, 2, 1],
    out_indices=(0, 1, 2, 3),
)


def hrnet_stages() -> dict[str, dict]:
    """Returns HRNet's four stages: one module each, and a branch more than the stage before."""
    bottleneck = dict(num_branches=1, block='BOTTLENECK', num_blocks=(1,), num_channels=(16,))
    stages = dict(stage1=dict(bottleneck, num_modules=1))
    for branches in (2, 3, 4):
        stages[f'stage{branches}'] = dict(
            num_modules=1,
            num_branches=branches,
            block='BASIC',
            num_blocks=(1,) * branches,
            num_channels=(8, 16, 32, 64)[:branches],
        )
    return stages


def timm_encoder(name: str, **settings: Any) -> dict:
    """Returns the config of an encoder of timm, with random weights."""
    return dict(type='TIMMBackbone', model_name=name, pretrained=False, **settings)


ENCODERS = {
    'MiT': dict(
        type='MixVisionTransformer',
        embed_dims=8,
        num_layers=[1] * 4,
        num_heads=[1, 2, 5, 8],
        sr_ratios=[8, 4, 2, 1],
    ),
    'MSCAN': dict(
        type='MSCAN',
        embed_dims=[8, 12, 16, 20],
        mlp_ratios=[2] * 4,
        depths=[1] * 4,
        norm_cfg=BATCH_NORM,
    ),
    'EfficientFormerV2': dict(type='EfficientFormerV2', arch='S0'),
    'ResNet': dict(RESNET, type='ResNet'),
    'ResNet v1c, dilated': dict(RESNET, **DILATED, type='ResNetV1c'),
    'ResNeXt': dict(RESNET, type='ResNeXt', depth=50, groups=4, base_width=4),
    'ResNeSt': dict(
        RESNET,
        type='ResNeSt',
        depth=50,
        stem_channels=16,
        radix=2,
        reduction_factor=4,
        avg_down_stride=True,
    ),
    'HRNet': dict(type='HRNet', norm_eval=False, norm_cfg=BATCH_NORM, extra=hrnet_stages()),
    'MobileNetV2': dict(MOBILENET_V2, strides=(1, 2, 2, 2, 1, 2, 1), dilations=(1,) * 7),
    'MobileNetV2, dilated': dict(
        MOBILENET_V2, strides=(1, 2, 2, 1, 1, 1, 1), dilations=(1, 1, 1, 2, 2, 4, 4)
    ),
    'MobileNetV3': dict(
        type='MobileNetV3', arch='small', out_indices=(0, 1, 12), norm_cfg=BATCH_NORM
    ),
    'ViT': dict(PLAIN, type='VisionTransformer', img_size=(96, 96)),
    'BEiT': dict(FIXED_SIZE, type='BEiT', init_values=0.1, qv_bias=True),
    'MAE': dict(FIXED_SIZE, type='MAE', init_values=1.0),
    'Swin': dict(
        type='SwinTransformer',
        embed_dims=8,
        depths=[1, 2, 1, 1],
        num_heads=[1, 2, 4, 8],
        window_size=4,
    ),
    'Twins PCPVT': dict(TWINS, type='PCPVT', depths=[1] * 4),
    'Twins SVT': dict(
        TWINS, type='SVT', depths=[2] * 4, windiow_sizes=[7] * 4, norm_after_stage=True
    ),
    'ConvNeXt of timm': timm_encoder('convnext_atto'),
    'PoolFormer of timm': timm_encoder('poolformer_s12'),
    'MobileNetV3 of timm': timm_encoder('mobilenetv3_small_050', out_indices=(1, 2, 3, 4)),
    'five levels of timm': timm_encoder('mobilenetv3_small_050'),
    'ViT of timm': timm_encoder('vit_tiny_patch16_224', img_size=96, embed_dim=24, depth=4),
    'ConvNeXt of mmpretrain': dict(
        type='mmpretrain.ConvNeXt',
        arch='atto',
        out_indices=[0, 1, 2, 3],
        gap_before_final_norm=False,
    ),
    'PoolFormer of mmpretrain': dict(
        type='mmpretrain.PoolFormer', arch='s12', out_indices=(0, 2, 4, 6)
    ),
}

# Maps at one stride, brought to four.
PYRAMID = dict(type='Feature2Pyramid', embed_dim=24, rescales=[4, 2, 1, 0.5], norm_cfg=BATCH_NORM)
NECKS = {'ViT': PYRAMID, 'BEiT': PYRAMID, 'MAE': PYRAMID}
# Encoders that take one size only.
IMAGE_SIZES = {'BEiT': (96, 96), 'MAE': (96, 96), 'ViT of timm': (96, 96)}
