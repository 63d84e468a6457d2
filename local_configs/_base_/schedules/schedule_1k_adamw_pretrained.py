# For networks on a pretrained encoder, on a CPU: half the learning rate of random weights.
_base_ = './schedule_1k_adamw_scratch.py'

optim_wrapper = dict(optimizer=dict(lr=5e-4))
