"""What the processes of a run say, and do, when one of them ends it.

One process alone may meet what ends a run, such as an image that cannot be read. The others wait
for it in a collective operation then, some for minutes, or fail because it is gone. So it leaves
its sentence where all of them look.
"""

import os
import socket
import sys
import threading
import time

from torch import distributed

LAST_WORDS = 'segheads/last_words'
SECONDS_BETWEEN_LOOKS = 1.0

# Whoever has it ends this process, so that no sentence is cut off.
_ending = threading.Lock()


def agree_on_last_words(sentence: str | None) -> tuple[str | None, bool] | None:
    """Settles what this process says at its end, which an error has brought.

    Args:
        sentence (str | None): What it has to say; None if the error has no sentence.

    Returns:
        tuple[str | None, bool] | None: The sentence of the process that was first, None if no
        process has one, and whether it is this process that says it, as one of each machine does.
        None where the processes of a run are not connected.
    """
    store = _store()
    if store is None:
        return None
    _ending.acquire()
    try:
        if sentence is not None:
            # Only the first one is kept.
            store.compare_set(LAST_WORDS, '', sentence)
        elif not store.check([LAST_WORDS]):
            return None, True
        return _said(store), _is_first_of_machine(store)
    except RuntimeError:  # the process that keeps the store is gone
        return sentence, True


def end_with_others() -> None:
    """Ends this process as soon as another one has said what ends the run.

    A thread looks for it: the process itself may be waiting in a collective operation, where no
    signal reaches it.
    """
    threading.Thread(target=_wait_for_last_words, name='last words', daemon=True).start()


def _wait_for_last_words() -> None:
    was_connected = False
    while True:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        store = _store()
        if store is None:
            if was_connected:  # the run has come to its end
                return
            continue
        was_connected = True
        try:
            if not store.check([LAST_WORDS]):
                continue
            _ending.acquire()
            sentence, speaks = _said(store), _is_first_of_machine(store)
        except RuntimeError:
            return
        if speaks:
            print(f'error: {sentence}', file=sys.stderr, flush=True)
        os._exit(2)


def _store() -> distributed.Store | None:
    if not (distributed.is_available() and distributed.is_initialized()):
        return None
    return distributed.distributed_c10d._get_default_store()


def _said(store: distributed.Store) -> str:
    return store.get(LAST_WORDS).decode()


def _is_first_of_machine(store: distributed.Store) -> bool:
    return store.add(f'{LAST_WORDS}/{socket.gethostname()}', 1) == 1
