"""`segheads train --data` in Python."""

from pathlib import Path
from typing import Any

from mmseg.models import BaseSegmentor


def train(
    data: str | Path,
    model: str | None = None,
    out: str | Path | None = None,
    *,
    minutes: float | None = None,
    epochs: int | None = None,
    iterations: int | None = None,
    fine_tune: str | Path | None = None,
    resume: bool = False,
    mixed_precision: bool = False,
    **settings: Any,
) -> BaseSegmentor:
    """Trains a network on a folder of images and masks.

    What it needs is chosen by the data, the device and the weights at hand, and printed:
    docs/training.md. The config that it writes, ``OUT/config.py``, is one that `segheads train`
    takes.

    Args:
        data (str | Path): What `segheads import` wrote, or a folder with ``images/`` and
            ``annotations/`` or ``masks/``, divided into ``train`` and ``val`` or not.
        model (str | None): A network, such as 'ccaseg_b0'. Default: None, for one that suits the
            device and has encoder weights at hand.
        out (str | Path | None): Where config, logs, checkpoints and report go. Default: None, for
            ``work_dirs/NAME_OF_DATA``.
        minutes (float | None): About how long to train. Default: None.
        epochs (int | None): Passes through the images instead. Default: None.
        iterations (int | None): Batches instead. Default: None; without any of the three the number
            of images decides.
        fine_tune (str | Path | None): A checkpoint to start from, without its classifiers.
            Default: None.
        resume (bool): Whether to continue the run in ``out``. Default: False.
        mixed_precision (bool): Whether to train in mixed precision. Default: False.
        **settings (Any): Other arguments of :func:`segheads.training.session.train`.

    Returns:
        BaseSegmentor: The best model by mIoU, as :func:`segheads.load` returns it.

    Raises:
        UserMistake: If anything in the data or the arguments is wrong.

    Examples:
        >>> model = segheads.train(data='data/mine', minutes=30)
        >>> class_map = segheads.predict(model, 'street.jpg')
    """
    # Here, because with them come plots and reports, which prediction does without.
    from segheads.inference.loading import load

    from .choices import Length
    from .training import train_on_data

    best = train_on_data(
        data,
        out,
        model=model,
        length=Length(minutes, epochs, iterations),
        fine_tune=None if fine_tune is None else str(fine_tune),
        resume=resume,
        mixed_precision=mixed_precision,
        **settings,
    )
    return load(best)
