"""Distributed training in two processes, on one GPU if NCCL allows that."""

import multiprocessing
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.gpu.parts import Options, SkippedPart, Write
from benchmarks.subjects import labels, ours

PROCESSES = 2
STEPS = 5


def run(options: Options, write: Write) -> None:
    """Train, and compare the parameters of the processes."""
    # A process that is forked cannot use a GPU that its parent has asked for.
    context = multiprocessing.get_context('spawn' if options.device == 'cuda' else 'fork')
    with tempfile.TemporaryDirectory() as folder:
        receivers, processes = [], []
        for rank in range(PROCESSES):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_train, args=(rank, Path(folder), options, sender))
            process.start()
            sender.close()
            receivers.append(receiver)
            processes.append(process)
        try:
            results = [receiver.recv() for receiver in receivers]
        except EOFError as error:
            raise RuntimeError('a process ended without a word; see the log') from error
        finally:
            for process in processes:
                process.terminate()
                process.join()
    for reason in results:
        if isinstance(reason, str):
            raise SkippedPart(reason)
    (first, seconds, device), (second, *_) = results
    write(
        dict(
            case=f'CCASeg-B0, {PROCESSES} processes on {device}',
            steps=STEPS,
            ms=1e3 * seconds / STEPS,
            largest_difference_of_parameters=max(
                float(np.abs(x - y).max()) for x, y in zip(first, second, strict=True)
            ),
            finite=all(bool(np.isfinite(x).all()) for x in first),
        )
    )


def _train(rank: int, folder: Path, options: Options, sender: Connection) -> None:
    on_gpu = options.device == 'cuda'
    device = torch.device('cpu')
    if on_gpu:
        device = torch.device('cuda', rank % torch.cuda.device_count())
        torch.cuda.set_device(device)
    backend = 'nccl' if on_gpu else 'gloo'
    try:
        distributed.init_process_group(
            backend, init_method=f'file://{folder}/rendezvous', rank=rank, world_size=PROCESSES
        )
        distributed.all_reduce(torch.ones(1, device=device))
        if on_gpu:
            torch.cuda.synchronize()
    except Exception as error:  # NCCL may refuse that two processes share a GPU
        sender.send(f'{backend} refuses: {str(error).strip().splitlines()[-1][:200]}')
        return
    subject = next(s for s in ours() if s.name.startswith('CCASeg'))
    size = (32, 32) if options.dry_run else (512, 512)
    model = subject.build_model().train().to(device)
    if on_gpu:
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    wrapped = DistributedDataParallel(
        _Losses(model), device_ids=[device] if on_gpu else None, broadcast_buffers=False
    )
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    torch.manual_seed(rank)
    images = torch.randn(2, 3, *size, device=device)
    samples = labels(2, size, 150, str(device))
    for step in range(-1, STEPS):
        if step == 0:  # the first step chooses and compiles
            start = time.perf_counter()
        with options.setting('bf16').autocast():
            loss = wrapped(images, samples)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    parameters = [p.detach().cpu().numpy() for p in model.parameters()]
    name = f'{torch.cuda.device_count()} GPU(s)' if on_gpu else 'a CPU'
    sender.send((parameters, time.perf_counter() - start, name))
    distributed.destroy_process_group()


class _Losses(nn.Module):
    """A segmentor whose forward pass is the sum of its losses."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor, samples: list) -> torch.Tensor:
        losses = self.model.loss(images, samples)
        return sum(value for name, value in losses.items() if 'loss' in name)
