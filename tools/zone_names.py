"""Writes crates/formats/src/zone_names.tsv: how Java (and so Spark) names time zones in English.

Run with a Python that has PySpark: `python tools/zone_names.py`. Two kinds of lines:
  Z <short standard> <short daylight> <long standard> <long daylight> <short generic> <long generic> <zones...>
  P <name as parsed by the pattern `z`> <the zone Java takes it for>
"""

from collections import defaultdict
from pathlib import Path

from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
jvm = spark._jvm
english = jvm.java.util.Locale.US
zones = sorted(z for z in jvm.java.time.ZoneId.getAvailableZoneIds() if not z.startswith("SystemV/"))
instant = jvm.java.time.Instant.parse("2024-01-15T00:00:00Z")


def generic(pattern, zone):
    formatter = jvm.java.time.format.DateTimeFormatter.ofPattern(pattern, english)
    return formatter.format(instant.atZone(jvm.java.time.ZoneId.of(zone)))


groups, names = defaultdict(list), set()
for zone in zones:
    z = jvm.java.util.TimeZone.getTimeZone(zone)
    row = tuple(z.getDisplayName(daylight, style, english) for style in (0, 1) for daylight in (False, True))
    row += (generic("v", zone), generic("vvvv", zone))
    groups[row].append(zone)
    names.update(n for n in row[:4] if not any(c.isdigit() for c in n))

builder = jvm.java.time.format.DateTimeFormatterBuilder
out = []
for row in sorted(groups):
    out.append("\t".join(("Z", *row, " ".join(groups[row]))))
known = {z.lower() for z in zones}
for name in sorted(names):
    if name.lower() in known:
        continue
    pattern = "zzzz" if " " in name else "z"
    formatter = builder().parseCaseInsensitive().appendPattern(pattern).toFormatter(english)
    try:
        parsed = formatter.parse(name).query(jvm.java.time.temporal.TemporalQueries.zone())
        out.append(f"P\t{name}\t{parsed.getId()}")
    except Exception:  # a name that Java writes but does not read
        continue
target = Path(__file__).parent.parent / "crates/formats/src/zone_names.tsv"
target.write_text("\n".join(out) + "\n")
print(len(out), "lines")
spark.stop()
