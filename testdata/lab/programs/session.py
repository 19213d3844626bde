"""Clients on python3-requests, http.client and urllib.

    session.py MODE URL N [PAUSE_MS]

get, post    N requests through one requests.Session
proxied      get through the forward proxy that follows PAUSE_MS
retry        N POSTs, each repeated up to twice whatever happened
sessionless  N times requests.get(), which makes and closes a session each time
fresh        N requests, each over an http.client connection of its own, closed by us
urllib       N times urllib.request.urlopen, which announces Connection: close
"""
import http.client
import sys
import time
import urllib.request
from urllib.parse import urlsplit

what, url, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
pause = int(sys.argv[4]) / 1000 if len(sys.argv) > 4 else 0

if what in ("get", "post", "proxied"):
    import requests

    with requests.Session() as s:
        s.trust_env = False
        if what == "proxied":
            s.proxies = {"http": sys.argv[5]}
        for i in range(n):
            if what != "post":
                s.get(url)
            else:
                s.post(url, json={"sku": "A-1", "quantity": i})
            time.sleep(pause)
elif what == "retry":
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util.retry import Retry

    with requests.Session() as s:
        s.mount("http://", HTTPAdapter(max_retries=Retry(total=2, allowed_methods=None, backoff_factor=0.1)))
        for i in range(n):
            try:
                s.post(url, json={"sku": "A-1", "quantity": i})
            except requests.ConnectionError as e:
                print(e)
elif what == "sessionless":
    import requests

    for i in range(n):
        requests.get(url)
        time.sleep(pause)
elif what == "fresh":
    parts = urlsplit(url)
    for i in range(n):
        c = http.client.HTTPConnection(parts.hostname, parts.port)
        c.request("GET", parts.path)
        c.getresponse().read()
        c.close()
        time.sleep(pause)
else:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for i in range(n):
        with opener.open(url) as r:
            r.read()
        time.sleep(pause)
