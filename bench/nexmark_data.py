"""Events of an auction house, as Nexmark has them: of 50 events one is a new person, three are new auctions, 46 are bids. Seeded, so that
all engines read the same files, one a batch for each kind of event."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PERSONS, AUCTIONS, ALL = 1, 3, 50
FIRST_ID, FIRST_CATEGORY, CATEGORIES = 1000, 10, 5
BEGIN_US = 1_767_225_600_000_000
STATES = np.array(["AZ", "CA", "ID", "OR", "WA", "WY"])
CITIES = np.array(["Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"])
NAMES = np.array([f"{first} {last}" for first in ("Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter")
                  for last in ("Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris")])
CHANNELS = np.array(["Google", "Facebook", "Baidu", "Apple"] + [f"channel-{i}" for i in range(100)])
# Of those that came last, bids go to one of so many auctions and come from one of so many persons; and some are hot.
LIVE_AUCTIONS, LIVE_PERSONS, HOT = 100, 1000, 100


def write(folder, batches, events, events_per_second, seed=7):
    """`batches` files of `events` events in all, for each of `person`, `auction` and `bid`, and the side table of the 13th query."""
    randomness = np.random.default_rng(seed)
    for kind in ("person", "auction", "bid", "side"):
        (folder / kind).mkdir(parents=True)
    for batch in range(batches):
        numbers = np.arange(batch * events, (batch + 1) * events)
        times = BEGIN_US + numbers * 1_000_000 // events_per_second
        rest = numbers % ALL
        made = {"person": (rest < PERSONS, persons), "auction": ((rest >= PERSONS) & (rest < PERSONS + AUCTIONS), auctions), "bid": (rest >= PERSONS + AUCTIONS, bids)}
        for kind, (which, make) in made.items():
            columns = make(numbers[which], times[which], randomness)
            pq.write_table(pa.table(columns), folder / kind / f"{batch:05}.parquet")
    keys = np.arange(10_000)
    pq.write_table(pa.table({"key": keys, "value": pa.array([f"value {k}" for k in keys])}), folder / "side" / "0.parquet")


def instants(us):
    return pa.array(us, pa.timestamp("us", tz="UTC"))


def filler(randomness, count, length):
    """Text that does not compress to nothing."""
    letters = randomness.integers(97, 123, count * length, dtype=np.uint8).tobytes().decode()
    return pa.array([letters[i * length : (i + 1) * length] for i in range(count)])


def persons(numbers, times, randomness):
    ids = FIRST_ID + numbers // ALL
    count = len(ids)
    return {
        "id": ids, "name": pa.array(NAMES[randomness.integers(0, len(NAMES), count)]),
        "emailAddress": pa.array([f"{i}@example.com" for i in ids]), "city": pa.array(CITIES[randomness.integers(0, len(CITIES), count)]),
        "state": pa.array(STATES[randomness.integers(0, len(STATES), count)]), "dateTime": instants(times), "extra": filler(randomness, count, 40),
    }


def latest_person(numbers):
    return numbers // ALL


def latest_auction(numbers):
    return numbers // ALL * AUCTIONS + np.minimum(np.maximum(numbers % ALL - PERSONS, 0), AUCTIONS - 1)


def recent(latest, count, hot_share, randomness):
    """One of the `count` last ones, `hot_share` of the time one of the hot ones, of which there is one in `HOT`."""
    some = np.maximum(latest - randomness.integers(0, count, len(latest)), 0)
    hot = latest // HOT * HOT
    return np.where(randomness.random(len(latest)) < hot_share, hot, some)


def auctions(numbers, times, randomness):
    count = len(numbers)
    price = prices(count, randomness)
    return {
        "id": FIRST_ID + latest_auction(numbers), "itemName": filler(randomness, count, 10), "initialBid": price,
        "reserve": price + prices(count, randomness), "dateTime": instants(times),
        "expires": instants(times + randomness.integers(1_000_000, 20_000_000, count)),
        "seller": FIRST_ID + recent(latest_person(numbers), LIVE_PERSONS, 0.75, randomness),
        "category": FIRST_CATEGORY + randomness.integers(0, CATEGORIES, count), "extra": filler(randomness, count, 60),
    }


def prices(count, randomness):
    return np.round(10 ** (randomness.random(count) * 6) * 100).astype(np.int64)


def bids(numbers, times, randomness):
    count = len(numbers)
    channels = CHANNELS[randomness.integers(0, len(CHANNELS), count)]
    return {
        "auction": FIRST_ID + recent(latest_auction(numbers), LIVE_AUCTIONS, 0.5, randomness),
        "bidder": FIRST_ID + recent(latest_person(numbers), LIVE_PERSONS, 0.75, randomness), "price": prices(count, randomness),
        "channel": pa.array(channels), "url": pa.array(np.char.add("https://www.nexmark.com/item.htm?channel=", channels)),
        "dateTime": instants(times), "extra": filler(randomness, count, 30),
    }
