"""Reading of safetensors files, the format of the weights that timm publishes."""

from mmengine.runner import CheckpointLoader
from torch import Tensor


# MMEngine matches what it calls a prefix as a regular expression against the whole path.
@CheckpointLoader.register_scheme(prefixes=r'.+\.safetensors$')
def load_safetensors(filename: str, map_location: str | None = None) -> dict[str, Tensor]:
    """Read a local safetensors file, wherever MMEngine reads a checkpoint.

    Args:
        filename (str): Path that ends in ``.safetensors``.
        map_location (str, optional): Device. Default: None, which is the CPU.

    Returns:
        dict[str, Tensor]: The state dict.
    """
    from safetensors.torch import load_file

    return load_file(filename, device=map_location or 'cpu')
