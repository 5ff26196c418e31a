"""The conformance suite: every command on redis-server and on Holdfast, reply for reply.

`cases/*.txt` say what is sent (README.md explains the notation), `recorded/*.resp`
what redis-server 7.0 answered, `overlay.resp` where Redis 7.2, which Holdfast follows,
answers otherwise and why. `python -m tests.conformance.record` records anew.
"""
