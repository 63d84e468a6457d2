"""The trained models that come with the package, so that a first prediction needs no download."""

from pathlib import Path

FOLDER = Path(__file__).parent / 'data'


def bundled_weights(name: str | Path) -> Path | None:
    """Finds the weights that come with the package for a whole model.

    Args:
        name (str | Path): Name of a config, as :func:`segheads.list_models` lists it.

    Returns:
        Path | None: The file; None if the package has none for this model.
    """
    return {file.stem: file for file in FOLDER.glob('*.safetensors')}.get(str(name))
