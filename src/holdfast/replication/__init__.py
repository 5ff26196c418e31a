"""PSYNC, acknowledgements, fencing: decisions first, plumbing last.

How to read it, bottom-up: `set_record` (positions, member sets), `gate` (which replies
may go), `node_state` and `fence` (whom a node obeys), `promotion` (whom a leader
chooses), `orders` (their wire form); then the Redis side: `history` (PSYNC), `backlog`,
`handshake`, `attachments`, `failover_command`, `empty_primary`.
"""
