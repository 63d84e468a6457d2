"""Show models on a local web page: drop a picture, see its classes, compare two models.

Each MODEL is a config, by path or by name, and its checkpoint. Without any, the page shows the
model that `make demo` has trained, or its random weights if it has not been run.

Example:
    python tools/serve.py ccaseg_b0_ade20k=ccaseg.pth cgrseg_t_ade20k=cgrseg.pth
"""

import argparse
import contextlib
import socket
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import segheads
from segheads.checkpoints import trust_checkpoints
from segheads.commands.command_line import add_trust_argument, run_tool
from segheads.mistakes import UserMistake

if TYPE_CHECKING:
    from segheads.web.app import ServedModel

DEMO = 'ccaseg_b0_synthetic_demo'
DEMO_FOLDER = Path('work_dirs/demo')


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description='Show models on a local web page')
    parser.add_argument(
        'models',
        nargs='*',
        metavar='MODEL=CHECKPOINT',
        help='config file or name, and checkpoint; without =CHECKPOINT the weights are random',
    )
    parser.add_argument('--host', default='127.0.0.1', help='address to listen on')
    parser.add_argument('--port', type=int, default=8000, help='port, 0 for any that is free')
    parser.add_argument('--device', help='such as cpu or cuda:1; by default a GPU if there is one')
    add_trust_argument(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves the page as the command line says, until it is interrupted.

    Args:
        arguments (Sequence[str] | None): The command line; None for that of the process.

    Raises:
        UserMistake: If FastAPI is not installed, a model cannot be loaded, or the port is taken.
    """
    options = parse_arguments(arguments)
    try:
        import uvicorn

        from segheads.web.app import LOOPBACK, create_app
    except ImportError as error:
        raise UserMistake(
            f'the page needs {error.name}; install it by `pip install "segheads[web]"` (in a '
            'clone: `pip install -e ".[web]"`)'
        ) from error
    with listen(options.host, options.port) as listener:
        with trust_checkpoints(options.trust_checkpoint):
            models = load_models(options.models or [demo()], options.device)
        # Bound to every address, it is not known under which names it is reached.
        is_everywhere = options.host == '0.0.0.0'
        hosts = ['*'] if is_everywhere else [*LOOPBACK, options.host]
        server = uvicorn.Server(uvicorn.Config(create_app(models, hosts), log_level='warning'))
        name = 'localhost' if is_everywhere else options.host
        print(f'Open http://{name}:{listener.getsockname()[1]} (Ctrl+C ends it).', flush=True)
        if options.host not in LOOPBACK:
            print('Whoever reaches this machine over the network can use the page.', flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


def demo() -> str:
    """Returns the model that `make demo` trains, with its last checkpoint if there is one."""
    checkpoints = sorted(DEMO_FOLDER.glob('iter_*.pth'), key=lambda path: path.stat().st_mtime)
    return f'{DEMO}={checkpoints[-1]}' if checkpoints else DEMO


def load_models(pairs: Sequence[str], device: str | None) -> list['ServedModel']:
    """Loads the models and predicts a scene with each, because the first time takes longer.

    Args:
        pairs (Sequence[str]): ``MODEL=CHECKPOINT``, or ``MODEL`` for random weights.
        device (str | None): As for :func:`segheads.load`.

    Returns:
        list[ServedModel]: The models, under labels of their own.

    Raises:
        UserMistake: As :func:`segheads.load`.
    """
    from segheads.web.app import SAMPLES, ServedModel

    parts = [pair.partition('=')[::2] for pair in pairs]
    names = [Path(config).stem if config.endswith('.py') else config for config, _ in parts]
    count = Counter(names)
    models = []
    for name, (config, checkpoint) in zip(names, parts, strict=True):
        model = segheads.load(config, checkpoint or None, device)
        segheads.predict(model, SAMPLES[0])
        file = Path(checkpoint).name if checkpoint else None
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


if __name__ == '__main__':
    run_tool(main)
