"""A web page that shows what models make of a picture; ``segheads serve`` starts it.

It needs FastAPI and uvicorn, which ``pip install "segheads[web]"`` brings; nothing else of the
package imports it.
"""
