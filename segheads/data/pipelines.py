"""What the transforms in the pipeline of a data set do, as its config tells."""

from collections.abc import Iterator, Mapping
from typing import Any

import mmcv.transforms
from mmseg.registry import TRANSFORMS

from segheads.configs.registered_types import is_type, type_of


def find_mask_loader(pipeline: Any) -> Mapping[str, Any] | None:
    """Finds the transform that reads masks, inside of wrappers such as TestTimeAug too.

    Args:
        pipeline (Any): The ``pipeline`` of a data set, or a part of it.

    Returns:
        Mapping[str, Any] | None: Config of MMSegmentation's LoadAnnotations, or of one derived from
        it or from that of MMCV; None if the pipeline has none.
    """
    return next(filter(_is_mask_loader, steps_of(pipeline)), None)


def remove_mask_loaders(pipeline: Any) -> Any:
    """Takes the transforms that read masks out of a pipeline, wherever they are in it.

    Args:
        pipeline (Any): The ``pipeline`` of a data set, or a part of it; it is not changed.

    Returns:
        Any: A copy without them. A list that held nothing else is left out of the list around it.
    """
    if isinstance(pipeline, (list, tuple)):
        others = [step for step in pipeline if not _is_mask_loader(step)]
        changed = [remove_mask_loaders(step) for step in others]
        return [after for before, after in zip(others, changed, strict=True) if after or not before]
    if isinstance(pipeline, Mapping):
        return {
            name: remove_mask_loaders(value) if name == 'transforms' else value
            for name, value in pipeline.items()
        }
    return pipeline


def steps_of(pipeline: Any) -> Iterator[Mapping[str, Any]]:
    """Walks through a pipeline and the transforms inside of its transforms.

    Args:
        pipeline (Any): The ``pipeline`` of a data set, or a part of it.

    Yields:
        Mapping[str, Any]: The config of each transform, outer ones first.
    """
    if isinstance(pipeline, Mapping):
        yield pipeline
        pipeline = pipeline.get('transforms', ())
    for child in pipeline:
        if isinstance(child, (Mapping, list, tuple)):
            yield from steps_of(child)


def _is_mask_loader(step: Any) -> bool:
    if not is_type(step, TRANSFORMS, mmcv.transforms.LoadAnnotations):
        return False
    # That of MMCV reads boxes unless it is told otherwise.
    is_general = type_of(step, TRANSFORMS) is mmcv.transforms.LoadAnnotations
    return not is_general or bool(step.get('with_seg'))
