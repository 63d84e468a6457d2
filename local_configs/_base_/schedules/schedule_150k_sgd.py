_base_ = './schedule_60k_sgd.py'

param_scheduler = [
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=150000, by_epoch=False),
]
train_cfg = dict(max_iters=150000, val_interval=15000)
default_hooks = dict(checkpoint=dict(interval=15000))
