# The usual recipe of the authors' group: no CGRSeg config for this data set was released.
_base_ = [
    '../_base_/models/cgrseg_t.py',
    '../_base_/datasets/pascal_context_59.py',
    '../_base_/schedules/schedule_80k_adamw_cgrseg.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=4)
model = dict(
    data_preprocessor=dict(size=(480, 480)),
    decode_head=dict(num_classes=59),
)
