# The model that comes with the package, trained on drawn scenes on one CPU core. It decodes down to
# stride 2, because poles and people are a few pixels wide.
_base_ = [
    '../_base_/models/cgrseg_t.py',
    '../_base_/datasets/synthetic_scenes.py',
    '../_base_/schedules/schedule_20k_adamw_scratch.py',
    '../_base_/default_runtime.py',
]

crop_size = (160, 224)
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(
        _delete_=True,
        type='TIMMBackbone',
        model_name='resnet10t',
        pretrained=False,
        stem_width=12,
        channels=(32, 64, 128, 192),
        out_indices=(0, 1, 2, 3, 4),
    ),
    decode_head=dict(
        in_channels=[24, 32, 64, 128, 192],
        in_index=[0, 1, 2, 3, 4],
        channels=48,
        num_context_blocks=1,
        num_classes=8,
    ),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(256, 192), ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(dataset=dict(length=40000, pipeline=train_pipeline))

optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end=100, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=100, end=5000, by_epoch=False),
]
train_cfg = dict(max_iters=5000, val_interval=1000)
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=500))
