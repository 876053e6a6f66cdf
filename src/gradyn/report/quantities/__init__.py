"""WHICH QUANTITIES DO EXPERIMENTS SHOW AND CLAIM?  What the scripts in `experiments/` measure, curve by curve and number by number."""
