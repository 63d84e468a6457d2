"""What a training takes for data, device and time, and why."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from segheads.configs.names import config_folder
from segheads.mistakes import UserMistake

from .machine import Machine
from .networks import Network
from .survey import DataSurvey

# Widths in pixels. Larger images are scaled down; crops are what the network learns on at once.
LONGEST_SIDE_ON_CPU, LONGEST_SIDE_ON_GPU = 640, 1280
LARGEST_CROP_ON_CPU, LARGEST_CROP_ON_GPU = 256, 512
CROP_STEP = 32
BATCH_SIZE, SMALLEST_BATCH = 8, 2
# A rule, not a measurement: what one image of 512x512 takes in training, of memory in GB.
GIGABYTES_PER_CROP = 0.75
PASSES = 100
FEWEST_ON_CPU, MOST_ON_CPU = 200, 1000
FEWEST_ON_GPU, MOST_ON_GPU = 1000, 40000
GUESSED_SECONDS_ON_CPU, GUESSED_SECONDS_ON_GPU = 1.0, 0.1
VALIDATIONS = 5
MOST_WORKERS = 4


@dataclass(frozen=True)
class Length:
    """How long a training lasts; one of these at most, else the number of images decides.

    Attributes:
        minutes (float | None): Time. Default: None.
        epochs (int | None): Passes through the images. Default: None.
        iterations (int | None): Batches. Default: None.

    Raises:
        UserMistake: If several are given, or one that is not above 0.
    """

    minutes: float | None = None
    epochs: int | None = None
    iterations: int | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in vars(self).items() if value is not None}
        if len(given) > 1:
            raise UserMistake(
                f'{" and ".join(f"--{name}" for name in given)} say the same in different ways; '
                'give one of them'
            )
        for name, value in given.items():
            if not (0 < value < math.inf):
                raise UserMistake(f'--{name} is {value:g}, but must be above 0')


@dataclass(frozen=True)
class Choices:
    """The settings of a training.

    Attributes:
        network (Network): The network.
        image_size (tuple[int, int]): Height and width that images are scaled to fit into.
        is_scaled (bool): Whether some images do not have that size.
        crop_size (tuple[int, int]): Height and width of the crops.
        batch_size (int): Images in a batch, of all processes together.
        processes (int): Processes that share a batch.
        iterations (int): Batches; with ``minutes`` a first guess.
        minutes (float | None): Time that decides instead, None for none.
        num_workers (int): Processes that load images.
        optim_wrapper (dict[str, Any]): The optimiser of the config.
        reasons (dict[str, str]): What was chosen and why, by a word each.
    """

    network: Network
    image_size: tuple[int, int]
    is_scaled: bool
    crop_size: tuple[int, int]
    batch_size: int
    processes: int
    iterations: int
    minutes: float | None
    num_workers: int
    optim_wrapper: dict[str, Any]
    reasons: dict[str, str]


def choose(
    survey: DataSurvey,
    network: Network,
    machine: Machine,
    length: Length,
    processes: int = 1,
) -> Choices:
    """Chooses the settings of a training.

    Args:
        survey (DataSurvey): The data.
        network (Network): The network.
        machine (Machine): What it is trained on.
        length (Length): How long, if the user says it.
        processes (int): Processes that share a batch. Default: 1.

    Returns:
        Choices: The settings.
    """
    on = 'CPU' if machine.is_cpu else 'GPU'
    image_size, crop_size = _sizes(survey.size, machine.is_cpu)
    is_smaller = image_size != survey.size
    share = crop_size[0] * crop_size[1] / LARGEST_CROP_ON_GPU**2
    fitting = int(machine.gigabytes / 2 / (GIGABYTES_PER_CROP * share))
    # Processes on a CPU share its memory and its batch; each GPU has its own.
    each = min(BATCH_SIZE, fitting) // (processes if machine.is_cpu else 1)
    total = processes * max(SMALLEST_BATCH, each)
    count = survey.count('train')
    epoch = math.ceil(count / total)
    fewest, most = (FEWEST_ON_CPU, MOST_ON_CPU) if machine.is_cpu else (FEWEST_ON_GPU, MOST_ON_GPU)
    if length.minutes is not None:
        seconds = GUESSED_SECONDS_ON_CPU if machine.is_cpu else GUESSED_SECONDS_ON_GPU
        iterations = max(10, round(60 * length.minutes / seconds))
        why_long = f'{length.minutes:g} minutes, as --minutes says, with the validations'
    elif length.epochs is not None:
        iterations = length.epochs * epoch
        why_long = f'{iterations} iterations, which are {length.epochs} passes, as --epochs says'
    elif length.iterations is not None:
        iterations = length.iterations
        why_long = f'{iterations} iterations, as --iterations says'
    else:
        iterations = min(max(PASSES * epoch, fewest), most)
        why_long = (
            f'{iterations} iterations: {PASSES} passes through {count} images, but {fewest} to '
            f'{most} on a {on}'
        )
    scaled = (
        f', scaled to {_text(image_size)} (more would take long on a {on})' if is_smaller else ''
    )
    optim_wrapper, rate = _optimiser(network)
    reasons = {
        'classes': f'{len(survey.classes.names)}, from {survey.classes.source}',
        'images': f'{_images(survey)}; {_text(survey.size)} pixels{scaled}',
        'network': f'{network.name}: {network.reason}',
        'crop': f'{_text(crop_size)} pixels, for images of that size on a {on}',
        'batch': f'{total} images, in {machine.gigabytes:.0f} GB of memory',
        'rate': f'{rate}',
        'length': why_long,
    }
    return Choices(
        network=network,
        image_size=image_size,
        is_scaled=is_smaller or survey.sizes_differ,
        crop_size=crop_size,
        batch_size=total,
        processes=processes,
        iterations=iterations,
        minutes=length.minutes,
        num_workers=min(MOST_WORKERS, os.cpu_count() or 1),
        optim_wrapper=optim_wrapper,
        reasons=reasons,
    )


def _sizes(size: tuple[int, int], on_cpu: bool) -> tuple[tuple[int, int], tuple[int, int]]:
    """Returns the size that images are scaled to, and that of crops."""
    longest = LONGEST_SIDE_ON_CPU if on_cpu else LONGEST_SIDE_ON_GPU
    factor = min(1.0, longest / max(size))
    scaled = (max(CROP_STEP, round(size[0] * factor)), max(CROP_STEP, round(size[1] * factor)))
    largest = LARGEST_CROP_ON_CPU if on_cpu else LARGEST_CROP_ON_GPU
    # Both sides by the same factor, so that a crop has the shape of the images.
    share = min(1.0, largest / max(scaled))
    height, width = (max(CROP_STEP, round(s * share / CROP_STEP) * CROP_STEP) for s in scaled)
    return scaled, (height, width)


def _optimiser(network: Network) -> tuple[dict[str, Any], str]:
    """Takes the optimiser of the project's schedule for such a start."""
    name = network.model['backbone'].get('type', '')
    if not network.is_pretrained:
        schedule, why = 'schedule_20k_adamw_scratch', 'all weights are random'
    elif name == 'TIMMBackbone':
        schedule, why = 'schedule_1k_adamw_pretrained', 'the encoder is pretrained'
    else:
        cgrseg = '_cgrseg' if name == 'EfficientFormerV2' else ''
        schedule = f'schedule_160k_adamw{cgrseg}'
        why = 'the encoder is pretrained; the head learns ten times as fast'
    optim_wrapper = read_schedule(schedule).optim_wrapper.to_dict()
    return optim_wrapper, f'{optim_wrapper["optimizer"]["lr"]:g}, since {why}'


def read_schedule(name: str) -> Config:
    """Reads one of the project's schedules."""
    return Config.fromfile(Path(config_folder()) / '_base_' / 'schedules' / f'{name}.py')


def _images(survey: DataSurvey) -> str:
    parts = [f'{survey.count("train")} to train on', f'{survey.count("val")} to validate']
    if 'test' in survey.splits:
        parts.append(f'{survey.count("test")} to test')
    drawn = ', drawn by their names' if survey.is_drawn else ''
    return f'{", ".join(parts)}{drawn}'


def _text(size: tuple[int, int]) -> str:
    return f'{size[1]}x{size[0]}'
