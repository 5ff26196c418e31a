"""PSYNC, acknowledgements, fencing: decisions first, plumbing last.

How to read it, bottom-up: `set_record` (positions, member sets), `gate` (which replies
may go), `node_state` and `fence` (whom a node obeys), `promotion` (whom a leader
chooses), `orders` (their wire form); then the Redis side: `history` (PSYNC), `backlog`,
`handshake`, `attachments`, `failover_command`, `empty_primary`.

Then the parts that move, each acting on those decisions: `stream`, `remote_replica`, `sync_line`
and `serving` (the primary's side), `upstream_link`, `upstream` and `incoming` (the replica's),
`reply_gate`, `standing`, `waiting` and `hand_over`. They meet in `replicator` (`node.replication`)
and reach each other through `roles`, `oversight`, `replica_events` and `write_guards`;
`information` tells of them. `ports` is what the node lends them.

Compiled is what every write passes: `backlog`, `feed`, `applier`, `tick`, `lease_watch`.
"""
