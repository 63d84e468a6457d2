"""The trained models that come with the package, so that a first prediction needs no download."""

from pathlib import Path

from segheads.configs.names import config_files

FOLDER = Path(__file__).parent / 'data'


def bundled_weights(config: str | Path) -> Path | None:
    """Finds the weights that come with the package for a whole model.

    Args:
        config (str | Path): Name of a config, as :func:`segheads.list_models` lists it, or its
            file.

    Returns:
        Path | None: The file; None if the package has none for this model.
    """
    for name in bundled_models():
        if str(config) == name or Path(config).resolve() == config_files().get(name):
            return FOLDER / f'{name}.safetensors'
    return None


def bundled_models() -> list[str]:
    """Lists the models whose weights come with the package, by name."""
    return sorted(file.stem for file in FOLDER.glob('*.safetensors'))
