"""All that docs/project/benchmarks.md shows, in one run: python -m tests.benchmarks [--slow]

The request path, the operations, the same as the table grows, and the writes; each is a module
that can be run by itself, with options. Needs the `bench` extra.
"""

import argparse

from tests.benchmarks import operations, requests, scale, writes
from tests.benchmarks.common import own_database, print_table


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slow", action="store_true", help=f"with {scale.SLOW:,} rows as well")
    parser.add_argument("--scale", type=float, default=1, help="so many times as many rounds")
    options = parser.parse_args()

    def rounds(number):
        return max(round(number * options.scale), 1)

    sizes = [*scale.SIZES, scale.SLOW] if options.slow else scale.SIZES
    with own_database() as versions:
        print(f"{versions}\n")
        names = requests.chosen(None)
        results = requests.compare(names, rounds(requests.ROUNDS), requests.REQUESTS)
        print_table(requests.HEAD, requests.rows(results))
        print_table(operations.HEAD, operations.compare(100_000, rounds(60), 12))
        print_table(scale.head(sizes), scale.compare(sizes, rounds(40), 7))
        print_table(writes.head(1000), writes.compare(writes.SIDES, 1000))
        print_table(writes.HEAD_IN_PLACE, writes.heap_only_rows(20_000))


if __name__ == "__main__":
    main()
