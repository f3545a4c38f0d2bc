"""The network: encoders, fusion, memory and heads, as torch modules."""
