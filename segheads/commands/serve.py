"""Show models on a local web page: drop a picture, see its classes, compare two models.

Each MODEL is a config, by path or by name, and its checkpoint. Without any, the page shows the
model that `make demo` has trained, or else the one that comes with the package.

Example:
    segheads serve ccaseg_b0_ade20k=ccaseg.pth cgrseg_t_ade20k=cgrseg.pth
"""

import argparse

from segheads.mistakes import UserMistake

from .arguments import add_device_argument, add_trust_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    parser.add_argument(
        'models',
        nargs='*',
        metavar='MODEL=CHECKPOINT',
        help='config file or name, and checkpoint; without =CHECKPOINT the weights are those that '
        'come with the package for it, or random',
    )
    parser.add_argument('--host', default='127.0.0.1', help='address to listen on')
    parser.add_argument('--port', type=int, default=8000, help='port, 0 for any that is free')
    add_device_argument(parser)
    add_trust_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Serves the page as the command line says, until it is interrupted.

    Raises:
        UserMistake: If FastAPI is not installed, a model cannot be loaded, or the port is taken.
    """
    from segheads.checkpoints import trust_checkpoints

    try:
        from segheads.web.serving import serve
    except ImportError as error:
        raise UserMistake(
            f'the page needs {error.name}; install it by `pip install "segheads[web]"` (in a '
            'clone: `pip install -e ".[web]"`)'
        ) from error
    with trust_checkpoints(options.trust_checkpoint):
        serve(options.models, options.host, options.port, options.device)
