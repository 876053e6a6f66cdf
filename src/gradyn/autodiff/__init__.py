"""HOW ARE GRADIENTS COMPUTED?  The textbook chapter, each statement as code that runs: read one module in one sitting."""

__all__: list[str] = []
