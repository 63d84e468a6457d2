"""The local page with its models, on a port."""

import contextlib
import socket
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from segheads.configs.names import is_checkpoint
from segheads.inference import load, predict
from segheads.mistakes import UserMistake
from segheads.weights.bundled import bundled_weights

from .app import LOOPBACK, SAMPLES, ServedModel, create_app

DEMO = 'ccaseg_b0_synthetic_demo'
BUNDLED = 'cgrseg_r10t_scenes'
DEMO_FOLDER = Path('work_dirs/demo')


def serve(models: Sequence[str], host: str, port: int, device: str | None = None) -> None:
    """Serves the page until it is interrupted.

    Args:
        models (Sequence[str]): As for :func:`load_models`; none for :func:`demo`.
        host (str): Address to listen on.
        port (int): Port, 0 for any that is free.
        device (str | None): As for :func:`segheads.load`. Default: None.

    Raises:
        UserMistake: If a model cannot be loaded, or the port is taken.
    """
    with listen(host, port) as listener:
        served = load_models(models or [demo()], device)
        # Bound to every address, it is not known under which names it is reached.
        is_everywhere = host == '0.0.0.0'
        hosts = ['*'] if is_everywhere else [*LOOPBACK, host]
        server = uvicorn.Server(uvicorn.Config(create_app(served, hosts), log_level='warning'))
        name = 'localhost' if is_everywhere else host
        print(f'Open http://{name}:{listener.getsockname()[1]} (Ctrl+C ends it).', flush=True)
        if host not in LOOPBACK:
            print('Whoever reaches this machine over the network can use the page.', flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


def demo() -> str:
    """Returns the model that `make demo` has trained, or the one that comes with the package."""
    checkpoints = sorted(DEMO_FOLDER.glob('iter_*.pth'), key=lambda path: path.stat().st_mtime)
    return f'{DEMO}={checkpoints[-1]}' if checkpoints else BUNDLED


def load_models(pairs: Sequence[str], device: str | None) -> list[ServedModel]:
    """Loads the models and predicts a scene with each, because the first time takes longer.

    Args:
        pairs (Sequence[str]): ``MODEL=CHECKPOINT``, a checkpoint alone, or ``MODEL`` for the
            weights that come with the package, and random ones where there are none.
        device (str | None): As for :func:`segheads.load`.

    Returns:
        list[ServedModel]: The models, under labels of their own.

    Raises:
        UserMistake: As :func:`segheads.load`.
    """
    parts = [pair.partition('=')[::2] for pair in pairs]
    names = [Path(config).stem if config.endswith('.py') else config for config, _ in parts]
    count = Counter(names)
    models = []
    for name, (config, checkpoint) in zip(names, parts, strict=True):
        checkpoint = checkpoint or str(bundled_weights(config) or '')
        model = load(config, checkpoint or None, device)
        with contextlib.suppress(UserMistake):  # it takes other images than drawn scenes
            predict(model, SAMPLES[0])
        weights = checkpoint or (config if is_checkpoint(config) else '')
        file = Path(weights).name if weights else None
        label = name if count[name] == 1 else f'{name} ({file or "random weights"})'
        models.append(ServedModel(label, model, file))
    return models


def listen(host: str, port: int) -> socket.socket:
    """Takes the port before anything slow.

    Args:
        host (str): Address.
        port (int): Port, 0 for any.

    Returns:
        socket.socket: The socket to serve on.

    Raises:
        UserMistake: If the port is taken or not allowed, or the address is not of this machine.
    """
    try:
        return socket.create_server((host, port))
    except (OSError, OverflowError) as error:
        raise UserMistake(
            f'cannot listen on {host}:{port} ({error}); choose another --port, or --port 0 for '
            'any that is free'
        ) from error
