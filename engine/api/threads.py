"""Blocking work of the API, on threads of its own: one for each request that may be answered.

The event loop's own threads are a few more than the cores, and the pages use them too.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

REQUESTS_AT_ONCE = 32  # each waits its turn for the model; more than that wait for minutes

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_threads = ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="api")


async def in_thread(
    function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, partial(function, *args, **kwargs))
