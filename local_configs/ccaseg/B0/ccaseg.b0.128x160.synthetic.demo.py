# What `make demo` trains: minutes on two CPU cores, from random weights, without data on disk. One
# attention block per level instead of three leaves time for more iterations.
_base_ = [
    '../../_base_/models/ccaseg_b0.py',
    '../../_base_/datasets/synthetic_scenes.py',
    '../../_base_/schedules/schedule_20k_adamw_scratch.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(size=(128, 160)),
    backbone=dict(init_cfg=None),
    decode_head=dict(num_classes=8, num_blocks=1),
)

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end=20, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=20, end=400, by_epoch=False),
]
train_cfg = dict(max_iters=400)
# The demo evaluates at its end, on the test split.
val_cfg = val_dataloader = val_evaluator = None
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=400))
