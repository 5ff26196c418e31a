"""Work on a whole cluster from outside: create, reshard, rebalance, add, remove, fix.

Decisions are pure (`topology`, `health`, `balance`, `placement`, `slot_move`, `keys_at_both`,
`pace`, `mending`); `remote` and `contact` are the connections; `mover`, `window`, `membership`
and `surgeon` do what was decided. Nothing is kept on the machine that runs a job: what is half
done is written in the cluster itself, as the marks of its slots.
"""
