"""The runtimes: each makes a function, from images to logits or classes, of a file."""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .mistakes import RunnerMistake

Network = Callable[[np.ndarray], np.ndarray]

# What files for ONNX's runtimes give besides their first output.
LOW_RESOLUTION = 'low_resolution_logits'
# By what a file is; the fastest on a CPU, as docs/export.md measures, comes first.
RUNTIMES = {
    '.onnx': ('openvino', 'onnxruntime'),
    '': ('openvino',),
    '.pt2': ('torch',),
    '.torchscript': ('torch',),
}
PACKAGES = {
    'openvino': 'openvino',
    'onnxruntime': 'onnxruntime (or onnxruntime-gpu)',
    'torch': 'torch',
}


def choose_runtime(path: Path, runtime: str | None, device: str | None) -> str:
    """Chooses what runs a file.

    Args:
        path (Path): The file, or a folder of OpenVINO's.
        runtime (str | None): What was asked for; None for the fastest that is installed.
        device (str | None): The device that was asked for.

    Returns:
        str: 'openvino', 'onnxruntime' or 'torch'.

    Raises:
        RunnerMistake: If there is no such runtime, it does not take the file, or is not installed.
    """
    able = RUNTIMES['' if path.is_dir() else path.suffix.lower()]
    if runtime is not None and runtime not in able:
        raise RunnerMistake(
            f'runtime={runtime!r} does not run {path}; choose from {", ".join(able)}'
        )
    wanted = able if runtime is None else (runtime,)
    if runtime is None and _is_cuda(device):
        wanted = tuple(name for name in able if name != 'openvino') or able
    for name in wanted:
        if importlib.util.find_spec(name) is not None:
            return name
    raise RunnerMistake(
        f'{path} needs a runtime that is not installed: {" or ".join(map(PACKAGES.get, wanted))}; '
        'install it by pip'
    )


def installed_runtimes(path: Path) -> list[str]:
    """Lists what runs a file here, the fastest first.

    Args:
        path (Path): The file, or a folder of OpenVINO's.

    Returns:
        list[str]: Names, as :func:`choose_runtime` returns them.
    """
    able = RUNTIMES['' if path.is_dir() else path.suffix.lower()]
    return [name for name in able if importlib.util.find_spec(name) is not None]


def open_network(
    path: Path, runtime: str, device: str | None, threads: int | None, output: str
) -> Network:
    """Loads a file into a runtime.

    Args:
        path (Path): The file.
        runtime (str): As :func:`choose_runtime` returns it.
        device (str | None): 'cpu', 'cuda' or 'cuda:1'; for OpenVINO its own names too, such as
            'GPU'. None for a GPU that the runtime can use, else the CPU.
        threads (int | None): Threads on the CPU; None for what the runtime takes.
        output (str): Which output, of a file for ONNX's runtimes.

    Returns:
        Network: From images (B, C, H, W) to logits (B, classes, h, w) or classes (B, H, W).

    Raises:
        RunnerMistake: If the file is damaged, or there is no such device.
    """
    opener = dict(openvino=_open_openvino, onnxruntime=_open_onnxruntime, torch=_open_torch)
    try:
        return opener[runtime](path, device, threads, output)
    except RunnerMistake:
        raise
    except Exception as error:  # each runtime has its own
        reason = next((line for line in reversed(str(error).splitlines()) if line.strip()), '')
        raise RunnerMistake(
            f'{path} cannot be loaded into {runtime} on {device or "its device"}: '
            f'{reason.strip() or type(error).__name__}'
        ) from error


def _open_onnxruntime(path: Path, device: str | None, threads: int | None, output: str) -> Network:
    import onnxruntime

    available = onnxruntime.get_available_providers()
    on_cuda = _is_cuda(device) or (device is None and 'CUDAExecutionProvider' in available)
    if on_cuda and 'CUDAExecutionProvider' not in available:
        raise RunnerMistake(
            f'the ONNX Runtime that is installed runs nothing on {device}; install onnxruntime-gpu '
            'in its place, or choose cpu'
        )
    if device is not None and not on_cuda and device.lower() != 'cpu':
        raise RunnerMistake(f'device={device!r} is none of ONNX Runtime here; choose cpu or cuda')
    providers: list[Any] = ['CPUExecutionProvider']
    if on_cuda:
        index = int((device or 'cuda').partition(':')[2] or 0)
        providers.insert(0, ('CUDAExecutionProvider', {'device_id': index}))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # what the optimiser of the graph leaves out is no news
    if threads is not None:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(os.fspath(path), options, providers=providers)
    once = onnxruntime.RunOptions()
    # Not what leads to the other output.
    once.only_execute_path_to_fetches = True
    return lambda images: session.run([output], {'image': images}, once)[0]


def _open_openvino(path: Path, device: str | None, threads: int | None, output: str) -> Network:
    import openvino

    core = openvino.Core()
    name = (device or 'CPU').upper()
    if name.partition('.')[0] not in {one.partition('.')[0] for one in core.available_devices}:
        raise RunnerMistake(
            f'device={device!r} is none of OpenVINO here; choose from '
            f'{", ".join(core.available_devices)}'
        )
    model = core.read_model(path / 'model.xml' if path.is_dir() else path)
    wanted = openvino.Model([model.output(output)], model.get_parameters())
    # By default the processor's 16 bits would be used, which change the result.
    settings: dict[str, Any] = {'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': 'f32'}
    if name == 'CPU':
        # Without a word OpenVINO 2026.4 takes kernels that it generated for one size of image for
        # others that they do not fit: after one of 32 pixels every third result was wrong.
        settings['SNIPPETS_MODE'] = 'DISABLE'
        if threads is not None:
            settings['INFERENCE_NUM_THREADS'] = threads
    compiled = core.compile_model(wanted, name, settings)
    request = compiled.create_infer_request()
    # A copy, because the next image is written where this one's result lies.
    return lambda images: request.infer([images], share_inputs=True)[0].copy()


def _open_torch(path: Path, device: str | None, threads: int | None, output: str) -> Network:
    import inspect

    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    target = torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
    torch.empty(1, device=target)
    if path.suffix.lower() == '.torchscript':
        module = torch.jit.load(path, map_location=target)
    else:
        program = torch.export.load(path)
        # Guards would refuse small images, on which the graph does not depend.
        unguarded = 'check_guards' in inspect.signature(program.module).parameters
        if target.type != 'cpu':
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, str(target))
        module = program.module(**(dict(check_guards=False) if unguarded else {}))

    def run(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return module(torch.from_numpy(images).to(target)).cpu().numpy()

    return run


def _is_cuda(device: str | None) -> bool:
    return device is not None and device.lower().partition(':')[0] == 'cuda'
