"""WHAT DOES ANY SWEEP SHOW?  Figures and sentences that a folder gets without a line of code, where it has the axes that they are about."""
