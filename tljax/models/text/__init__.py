"""Networks of tokens: bases and heads for texts."""
