_base_ = [
    '../../_base_/models/ccsnet_swin_t.py',
    '../../_base_/datasets/ade20k.py',
    '../../_base_/schedules/schedule_160k_adamw.py',
    '../../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=2)
model = dict(
    data_preprocessor=dict(size=(512, 512)),
)
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(relative_position_bias_table=dict(decay_mult=0.0)))
)
