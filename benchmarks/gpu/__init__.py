"""The first half hour on a GPU: ``python -m benchmarks.gpu``.

Each part is a module with a function ``run(options, write)``, runs in a process of its own, and
writes rows as it goes; see ``parts.py``.
"""
