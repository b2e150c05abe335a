"""Real threads with connections of their own, started together by a barrier."""

import threading

from django.db import connection, connections

from tests.patience import SECONDS


def at_once(calls, expected=()):
    """What each call returned, or raised where that was expected."""
    calls = list(calls)
    outcomes, errors = [None] * len(calls), []
    barrier = threading.Barrier(len(calls), timeout=SECONDS)

    def run(number, call):
        try:
            connection.ensure_connection()
            barrier.wait()
            outcomes[number] = call()
        except expected as error:
            outcomes[number] = error
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * SECONDS)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise ExceptionGroup("in the threads", errors)
    return outcomes


def wait_for(name):
    """Until all threads whose names begin so are done."""
    for thread in threading.enumerate():
        if thread.name.startswith(name):
            thread.join(2 * SECONDS)
            assert not thread.is_alive(), thread.name


def in_step(rounds, prepare, *calls):
    """Make the calls together, `rounds` times over, each in a thread of its own; `prepare` comes
    before each round."""
    barrier = threading.Barrier(len(calls), action=prepare, timeout=SECONDS)

    def repeat(call):
        try:
            for _ in range(rounds):
                barrier.wait()
                call()
        except threading.BrokenBarrierError:
            return  # the thread that broke it raises
        except Exception:
            barrier.abort()
            raise

    at_once([lambda call=call: repeat(call) for call in calls])


def scaled(postgresql, sqlite):
    """A size by the database: SQLite has one writer at a time and is slow at taking turns."""
    return postgresql if connection.vendor == "postgresql" else sqlite
