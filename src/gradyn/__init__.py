"""gradyn: an experiment harness for gradient dynamics in deep networks."""
