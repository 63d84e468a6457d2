"""The names and shapes that an MiT encoder has in NVIDIA's files."""

import torch
from torch import Tensor, nn


def in_nvidias_names(encoder: nn.Module) -> dict[str, Tensor]:
    """Writes the weights of our encoder as NVIDIA's code would save them."""
    released = {}
    for key, weight in encoder.state_dict().items():
        _, stage, part, rest = key.split('.', 3)
        number = int(stage) + 1
        if part == '0':
            released[f'patch_embed{number}.{rest.replace("projection", "proj")}'] = weight
        elif part == '2':
            released[f'norm{number}.{rest}'] = weight
        else:
            block, name = rest.split('.', 1)
            start = f'block{number}.{block}.'
            if name.startswith('attn.attn.in_proj_'):
                query, key_value = weight[: len(weight) // 3], weight[len(weight) // 3 :]
                released[f'{start}attn.q.{name[18:]}'] = query
                released[f'{start}attn.kv.{name[18:]}'] = key_value
                continue
            for ours, theirs in {
                'attn.attn.out_proj': 'attn.proj',
                'ffn.layers.0': 'mlp.fc1',
                'ffn.layers.1': 'mlp.dwconv.dwconv',
                'ffn.layers.4': 'mlp.fc2',
            }.items():
                if name.startswith(ours):
                    name = name.replace(ours, theirs)
                    if theirs in ('mlp.fc1', 'mlp.fc2'):
                        weight = weight.flatten(1) if weight.dim() > 1 else weight
            released[start + name] = weight
    released |= {'head.weight': torch.ones(1000, 64), 'head.bias': torch.ones(1000)}
    return released
