_base_ = [
    '../../_base_/models/pcaa_r50.py',
    '../../_base_/datasets/ade20k_original_size.py',
    '../../_base_/schedules/schedule_150k_sgd.py',
    '../../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=4)  # on 4 GPUs
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(multi_grid=(4, 8, 16)),
    decode_head=dict(num_classes=150),
    auxiliary_head=dict(num_classes=150),
)
