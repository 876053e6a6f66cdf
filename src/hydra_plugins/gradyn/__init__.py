"""HOW DOES HYDRA START A SWEEP?  The sweeper and the launchers, and how a plan is composed.

Hydra's plugin scanner executes every module of this folder at each start, once more if it was imported before; it passes over
names that begin with an underscore. So plugins stand in plain modules that import nothing heavy, and all that does the work
stands in underscored ones: each class of theirs exists once.
"""
