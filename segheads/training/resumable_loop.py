"""Training that continues after an interruption as if there had been none."""

import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import broadcast_object_list, get_rank
from mmengine.registry import DATA_SAMPLERS, DATASETS
from mmengine.runner import IterBasedTrainLoop, Runner
from mmseg.registry import LOOPS
from torch.utils.data import BatchSampler, Dataset, Sampler

from segheads.registered_types import set_type, type_of

# The first number of every key, so that data and model never share random numbers.
DATA, MODEL = 0, 1


def seed_generators(*key: int) -> None:
    """Seeds the random numbers of Python, numpy and PyTorch, on all devices.

    Args:
        key (int): What the random numbers depend on; other keys give independent ones.
    """
    words = np.random.SeedSequence(key).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(words[1:3])
    torch.manual_seed(int(words[3]))


class DrawnIndex(int):
    """The index of a sample, which brings along what its random augmentation depends on.

    It does so to the worker process that loads the sample, whichever that is.

    Attributes:
        key (tuple[int, ...]): The arguments of :func:`seed_generators`.
    """

    key: tuple[int, ...]


class SeededDataset(Dataset):
    """A dataset whose random augmentations depend on nothing but the :class:`DrawnIndex`.

    Everything else is that of the dataset inside.

    Args:
        dataset (dict): The config of the dataset.
    """

    def __init__(self, dataset: dict[str, Any]) -> None:
        self.__dict__['dataset'] = DATASETS.build(dataset)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: DrawnIndex) -> Any:
        seed_generators(*index.key)
        return self.dataset[index]

    def __getattr__(self, name: str) -> Any:
        # Python itself asks for such names, also while there is no dataset yet (unpickling), and
        # PyTorch for `__getitems__`, which would lead past the seeding.
        if name == 'dataset' or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.dataset, name, value)


class ResumableBatches(Sampler):
    """Draws the batches of a whole run without end, from any iteration on.

    Batches before that iteration are drawn too, which takes moments, but never loaded.

    Args:
        sampler (Sampler): Draws indices. After a pass through a finite one the next epoch begins.
        batch_size (int): Samples in a batch.
        drop_last (bool): Whether an epoch drops its last batch if that is smaller.
            Default: False.
        batch_sampler (dict | None): The config of what groups the indices; None for batches in
            the order of the sampler. Default: None.
    """

    def __init__(
        self,
        sampler: Sampler,
        batch_size: int,
        drop_last: bool = False,
        batch_sampler: dict[str, Any] | None = None,
    ) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        if batch_sampler is None:
            self.batches = BatchSampler(sampler, batch_size, drop_last)
        else:
            grouping = dict(sampler=sampler, batch_size=batch_size)
            self.batches = DATA_SAMPLERS.build(batch_sampler, default_args=grouping)
        self.start: int | None = None

    def begin(self, seed: int, start: int) -> None:
        """Says where the run begins; until then there are no batches.

        Args:
            seed (int): The seed of the run, the same in all processes.
            start (int): The iteration that takes the first batch.
        """
        self.seed = seed
        self.start = start

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[DrawnIndex]]:
        # MMEngine starts the workers before it reads the checkpoint, which would load batches
        # from the beginning of the run.
        if self.start is None:
            return
        for number, batch in enumerate(itertools.chain.from_iterable(self._epochs())):
            if number >= self.start:
                yield [self._draw(*sample, number) for sample in enumerate(batch)]

    def _draw(self, place: int, index: int, batch: int) -> DrawnIndex:
        drawn = DrawnIndex(index)
        drawn.key = (DATA, self.seed, get_rank(), batch, place)
        return drawn

    def _epochs(self) -> Iterator[Sampler]:
        for epoch in itertools.count():
            if hasattr(self.sampler, 'set_epoch'):
                self.sampler.set_epoch(epoch)
            yield self.batches


@LOOPS.register_module()
class ResumableTrainLoop(IterBasedTrainLoop):
    """MMEngine's ``IterBasedTrainLoop``, for which a resumed run repeats what it would have been.

    All random numbers are functions of the run's seed and of the iteration, so nothing of their
    state needs to be saved: which samples form a batch, how each of them is augmented (whatever
    the number of workers), and what the model draws, such as dropout. Data that has been trained
    on before the interruption is skipped without loading it.

    Args:
        runner (Runner): The runner.
        dataloader (dict): The config of the data loader.
        **kwargs: Other arguments of :class:`mmengine.runner.IterBasedTrainLoop`.
    """

    def __init__(self, runner: Runner, dataloader: dict[str, Any], **kwargs: Any) -> None:
        self.has_own_seed = 'seed' in dataloader['sampler']
        super().__init__(runner, _resumable(dataloader), **kwargs)

    def run(self) -> torch.nn.Module:
        """Trains from the iteration that the checkpoint was saved at, or from the first.

        Returns:
            nn.Module: The model.
        """
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        self.dataloader_iterator = self._begin()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._decide_current_val_interval()
            if (
                self.runner.val_loop is not None
                and self._iter >= self.val_begin
                and (self._iter % self.val_interval == 0 or self._iter == self._max_iters)
            ):
                self.runner.val_loop.run()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_iter(self, data_batch: Any) -> None:
        """Trains on one batch, with the random numbers of its iteration.

        Args:
            data_batch (Any): The batch.
        """
        # The runner's seed is the same in all processes unless `diff_rank_seed` is set, as the
        # state of the generators at the start of MMEngine's own runs.
        seed_generators(MODEL, self.runner.seed, self._iter)
        super().run_iter(data_batch)

    def _begin(self) -> Iterator[Any]:
        seed = [self.runner.seed]
        broadcast_object_list(seed)
        batches = self.dataloader.batch_sampler
        if not self.has_own_seed:
            # The sampler was built before the checkpoint brought the seed of the run; MMEngine's
            # samplers read it when they begin to draw.
            batches.sampler.seed = seed[0]
        batches.begin(seed[0], self._iter)
        return iter(self.dataloader)


def use_resumable_loop(cfg: Config) -> None:
    """Replaces MMEngine's loop over iterations in a config by :class:`ResumableTrainLoop`.

    A loop of another class stays.

    Args:
        cfg (Config): The config of a training run; it is changed in place.
    """
    loop = cfg.train_cfg
    by_default = 'type' not in loop and loop.get('by_epoch') is False
    if by_default or type_of(loop, LOOPS) is IterBasedTrainLoop:
        loop.pop('by_epoch', None)
        set_type(loop, 'ResumableTrainLoop')


def _resumable(dataloader: Mapping[str, Any]) -> dict[str, Any]:
    """Wraps the dataset and the batches in the config of a data loader."""
    settings = dict(dataloader)
    settings['dataset'] = dict(type=SeededDataset, dataset=settings['dataset'])
    settings['batch_sampler'] = dict(
        type=ResumableBatches,
        drop_last=settings.pop('drop_last', False),
        batch_sampler=settings.pop('batch_sampler', None),
    )
    return settings
