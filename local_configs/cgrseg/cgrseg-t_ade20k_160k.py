_base_ = [
    '../_base_/models/cgrseg_t.py',
    '../_base_/datasets/ade20k_any_size.py',
    '../_base_/schedules/schedule_160k_adamw_cgrseg.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=4)
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    decode_head=dict(num_classes=150),
)
