"""Python's asynchronous HTTP libraries.

    fetch.py aiohttp URL N        N requests, three at a time, one ClientSession
    fetch.py httpx URL N          N requests, one Client
    fetch.py serve-aiohttp PORT 0 a server of aiohttp
"""
import asyncio
import sys

what, where, n = sys.argv[1], sys.argv[2], int(sys.argv[3])


async def with_aiohttp():
    import aiohttp

    limit = asyncio.Semaphore(3)
    async with aiohttp.ClientSession() as session:
        async def once():
            async with limit, session.get(where) as answer:
                await answer.read()

        await asyncio.gather(*(once() for _ in range(n)))


if what == "aiohttp":
    asyncio.run(with_aiohttp())
elif what == "httpx":
    import httpx

    with httpx.Client(trust_env=False) as client:
        for _ in range(n):
            client.get(where)
else:
    from aiohttp import web

    async def answer(request):
        return web.Response(text=f"{request.method} {request.path}\n")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    web.run_app(app, port=int(where), print=None)
