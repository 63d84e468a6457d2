# The usual recipe of the authors' group: no CGRSeg config for this data set was released.
_base_ = [
    '../_base_/models/cgrseg_l.py',
    '../_base_/datasets/coco-stuff10k.py',
    '../_base_/schedules/schedule_80k_adamw_cgrseg.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=4)
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    decode_head=dict(num_classes=171),
)
