"""The cheapest way to give each row a column of its own: the Hungarian method."""

import numpy as np

from dcet.runtime.arrays import Floats


def assign(cost: Floats) -> list[int]:
    """Return for each row of `cost` (n, m), n <= m, its column; the sum of costs is the least.

    Shortest augmenting paths (Jonker and Volgenant, Computing 38, 1987): n steps of at most n
    sweeps over m columns.
    """
    rows, columns = cost.shape
    if rows > columns:
        raise ValueError(f"expected at least as many columns as rows, got {rows} x {columns}")
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    row_of = np.full(columns, -1)
    for start in range(rows):
        shortest = np.full(columns, np.inf)
        before = np.full(columns, -1)
        done = np.zeros(columns, bool)
        row, column = start, -1
        while row >= 0:
            through = cost[row] - row_price[row] - column_price
            through = through + (0.0 if column < 0 else shortest[column])
            better = ~done & (through < shortest)
            shortest[better], before[better] = through[better], column
            column = int(np.where(done, np.inf, shortest).argmin())
            done[column] = True
            row = int(row_of[column])
        length = shortest[column]
        for visited in np.flatnonzero(done):
            if row_of[visited] >= 0:
                row_price[row_of[visited]] += length - shortest[visited]
            column_price[visited] -= length - shortest[visited]
        row_price[start] += length
        while column >= 0:
            previous = int(before[column])
            row_of[column] = start if previous < 0 else row_of[previous]
            column = previous
    return [int(np.flatnonzero(row_of == row)[0]) for row in range(rows)]
