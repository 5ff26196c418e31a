"""Jobs on whole clusters, tried on stock ones."""
