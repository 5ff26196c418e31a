"""Hash slots, gossip, election, resharding."""
