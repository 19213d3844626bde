"""One workload on python3-requests, with connection reuse or without.

    workload.py with|without URL N

N GETs one after the other; each body is read. "with" holds one Session,
"without" calls requests.get, which makes and closes one each time.
"""
import sys

import requests
import urllib3

urllib3.disable_warnings()  # the lab's certificate is signed by nobody

what, url, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
if what == "with":
    with requests.Session() as s:
        for _ in range(n):
            s.get(url, verify=False)
else:
    for _ in range(n):
        requests.get(url, verify=False)
