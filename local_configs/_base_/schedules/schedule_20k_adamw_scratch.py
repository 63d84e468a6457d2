# For networks that start from random weights: backbone and head learn equally fast, some fifteen
# times faster than a pretrained backbone is tuned.
_base_ = './schedule_160k_adamw.py'

optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    paramwise_cfg=dict(_delete_=True),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end=500, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=500, end=20000, by_epoch=False),
]
train_cfg = dict(max_iters=20000, val_interval=2000)
default_hooks = dict(checkpoint=dict(interval=2000))
