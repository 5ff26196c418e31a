"""Deployments as people run them: plans, supervision, drills, migrations, screens."""
