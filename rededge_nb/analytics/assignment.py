"""The best pairs of two groups: an assignment for small and sparse problems, in plain Python.

Most people in a frame overlap with one box only, so the problem is first cut into independent parts, and most of these
have one pair. For what is left a matrix of lists is faster than the way to a numerical library and back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

Edge = tuple[int, int, float]
"""`(row, column, gain)`: a pair that is allowed, and what it is worth."""


def assign(edges: Iterable[Edge]) -> list[tuple[int, int]]:
    """The pairs with the largest sum of gains, in which each row and each column occurs at most once.

    Args:
        edges: The pairs that are allowed, each once, with gains above 0.

    Returns:
        `(row, column)` of the chosen pairs, in no particular order.
    """
    pairs = []
    for part in _independent_parts(edges):
        if len(part) == 1:
            pairs.append(part[0][:2])
        else:
            pairs += _assign_part(part)
    return pairs


def _independent_parts(edges: Iterable[Edge]) -> list[list[Edge]]:
    """The edges in groups that share neither a row nor a column."""
    of_row, of_column = defaultdict(list), defaultdict(list)
    for edge in edges:
        of_row[edge[0]].append(edge)
        of_column[edge[1]].append(edge)
    parts, rows_done, columns_done = [], set(), set()
    for start in of_row:
        if start in rows_done:
            continue
        rows_done.add(start)
        part, rows = [], [start]
        while rows:
            for edge in of_row[rows.pop()]:
                part.append(edge)
                if edge[1] in columns_done:
                    continue
                columns_done.add(edge[1])
                for row, _, _ in of_column[edge[1]]:
                    if row not in rows_done:
                        rows_done.add(row)
                        rows.append(row)
        parts.append(part)
    return parts


def _assign_part(edges: Sequence[Edge]) -> list[tuple[int, int]]:
    rows, columns = sorted({row for row, _, _ in edges}), sorted({column for _, column, _ in edges})
    if len(rows) == 1 or len(columns) == 1:
        return [max(edges, key=lambda edge: edge[2])[:2]]
    if len(rows) > len(columns):
        return [(row, column) for column, row in _assign_part([(column, row, gain) for row, column, gain in edges])]
    gains = {(row, column): gain for row, column, gain in edges}
    # a pair that is not allowed gains nothing: it may be chosen to fill up a row, and is left out then
    cost = [[-gains.get((row, column), 0.0) for column in columns] for row in rows]
    chosen = ((row, columns[at]) for row, at in zip(rows, _cheapest_columns(cost), strict=True))
    return [pair for pair in chosen if pair in gains]


def _cheapest_columns(cost: Sequence[Sequence[float]]) -> list[int]:
    """A column for each row, each column at most once, with the smallest sum of costs.

    Rows are added one after the other, each along the cheapest path of exchanges: R. Jonker and A. Volgenant, "A
    Shortest Augmenting Path Algorithm for Dense and Sparse Linear Assignment Problems", Computing 38, 1987. It needs
    at most `rows² · columns` steps.

    Args:
        cost: A matrix of at least as many columns as rows.
    """
    size, columns = len(cost), range(len(cost[0]))
    row_price, column_price = [0.0] * size, [0.0] * len(columns)
    row_of = [-1] * len(columns)
    for new_row in range(size):
        distance, came_from = [float("inf")] * len(columns), [-1] * len(columns)
        open_columns, reached = set(columns), []
        row, column, so_far = new_row, -1, 0.0
        while True:
            costs, price, nearest, best = cost[row], row_price[row], -1, float("inf")
            for at in open_columns:
                through = so_far + costs[at] - price - column_price[at]
                if through < distance[at]:
                    distance[at], came_from[at] = through, column
                if distance[at] < best:
                    nearest, best = at, distance[at]
            column, so_far = nearest, best
            if row_of[column] == -1:
                break
            open_columns.remove(column)
            reached.append(column)
            row = row_of[column]
        # prices that keep every chosen pair the cheapest one of its row
        row_price[new_row] += so_far
        for at in reached:
            row_price[row_of[at]] += so_far - distance[at]
            column_price[at] -= so_far - distance[at]
        while column != -1:
            before = came_from[column]
            row_of[column] = new_row if before == -1 else row_of[before]
            column = before
    chosen = {row: column for column, row in enumerate(row_of) if row != -1}
    return [chosen[row] for row in range(size)]
