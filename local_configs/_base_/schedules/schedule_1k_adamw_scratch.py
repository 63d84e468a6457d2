# For networks that start from random weights on a CPU: some twenty minutes on two cores.
_base_ = './schedule_20k_adamw_scratch.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=50, end=1000, by_epoch=False),
]
train_cfg = dict(max_iters=1000, val_interval=1000)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=1000))
