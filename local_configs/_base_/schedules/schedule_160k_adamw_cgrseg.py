_base_ = './schedule_160k_adamw.py'

# In the authors' EfficientFormerV2 these norms have 'norm' in their names, and so no weight decay;
# timm calls them 'bn'. All other norms of the encoder are called 'bn' there, too, and do decay.
# The mixing layers 'talking_head' of its attention learn as fast as the decode head: 'head' is
# part of their names. Long keys win over short ones, and 'head' over 'norm'.
optim_wrapper = dict(
    optimizer=dict(lr=1.2e-4),
    paramwise_cfg=dict(
        custom_keys={
            '_delete_': True,
            'head': dict(lr_mult=10.0),
            'norm': dict(decay_mult=0.0),
            'mlp.fc1.bn': dict(decay_mult=0.0),
            'mlp.mid.bn': dict(decay_mult=0.0),
            'mlp.fc2.bn': dict(decay_mult=0.0),
            'stages.1.downsample.conv.bn': dict(decay_mult=0.0),
            'stages.2.downsample.conv.bn': dict(decay_mult=0.0),
        }
    ),
)
# The decay begins at once: during the warm-up both factors apply.
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, begin=0, end=1500, by_epoch=False),
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin=0, end=160000, by_epoch=False),
]
train_cfg = dict(val_interval=4000)
