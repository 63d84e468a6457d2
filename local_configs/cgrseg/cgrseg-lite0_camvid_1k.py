# CamVid on two CPU cores, from ImageNet weights that a package carries
_base_ = [
    '../_base_/models/cgrseg_lite0.py',
    '../_base_/datasets/camvid_192x256.py',
    '../_base_/schedules/schedule_1k_adamw_pretrained.py',
    '../_base_/default_runtime.py',
]

model = dict(data_preprocessor=dict(size=(192, 256)), decode_head=dict(num_classes=11))
