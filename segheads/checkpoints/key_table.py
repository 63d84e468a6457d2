"""Loading of state dicts that carry the names of an authors' release."""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class KeyTable:
    """Which module of a release is which module of ours.

    A state-dict key is the path of a module followed by the name of a tensor. The longest path
    listed in ``renames`` that begins a released key is replaced by ours; a key that begins with
    none of them has the same name in both.

    Args:
        renames (Mapping[str, str]): Released module path to our module path. No released path
            may be a path of ours too, and both sides are unique: the table is invertible.
        unused (tuple[str, ...]): Released module paths that take no part in the released forward
            pass. They are dropped.
    """

    renames: Mapping[str, str]
    unused: tuple[str, ...] = ()

    def register(self, module: nn.Module) -> None:
        """Make ``module.load_state_dict`` accept released keys beside its own.

        Args:
            module (nn.Module): The module to which all paths of the table are relative.
        """
        module._register_load_state_dict_pre_hook(self.translate)

    def our_key(self, key: str) -> str:
        """Translate a released key, relative to the module, into ours."""
        return _replace_longest_path(key, self.renames)

    def released_key(self, key: str) -> str:
        """Translate a key of ours, relative to the module, into the released one."""
        return _replace_longest_path(key, {ours: theirs for theirs, ours in self.renames.items()})

    def translate(self, state_dict: MutableMapping[str, Tensor], prefix: str, *_: Any) -> None:
        """Rename released keys in place; a load-state-dict pre-hook.

        Args:
            state_dict (MutableMapping): Tensors by key; if none has a released name, it is kept.
            prefix (str): What stands before the keys of the module, such as "decode_head.".
        """
        keys = [key for key in state_dict if key.startswith(prefix)]
        renamed = {key: prefix + self.our_key(key[len(prefix) :]) for key in keys}
        if all(ours == theirs for theirs, ours in renamed.items()):
            return  # ours already: what the release calls unused may well be used here
        tensors = {key: state_dict.pop(key) for key in keys}
        for key, tensor in tensors.items():
            if not _begins_with_any(key[len(prefix) :], self.unused):
                state_dict[renamed[key]] = tensor


def _replace_longest_path(key: str, renames: Mapping[str, str]) -> str:
    path, rest = key, ''
    while path:
        if path in renames:
            return renames[path] + rest
        path, _, last = path.rpartition('.')
        rest = f'.{last}{rest}'
    return key


def _begins_with_any(key: str, paths: tuple[str, ...]) -> bool:
    return any(key == path or key.startswith(f'{path}.') for path in paths)
