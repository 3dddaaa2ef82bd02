#!/usr/bin/env python3
"""Draws the dashboard without Grafana: asks Prometheus what each panel asks, and writes one SVG.

    picture.py [--prometheus http://127.0.0.1:9090] [--minutes 60] [--tenant NAME] > dashboard.svg

Says on stderr which panels have no data. Ends with 1 when Prometheus refuses a query: Grafana would show nothing there. Needs Python
alone. It shows what the panels ask for, not how Grafana would draw it.
"""

import argparse
import json
import math
import pathlib
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from xml.sax.saxutils import escape

DASHBOARD = pathlib.Path(__file__).with_name("sessiond.json")

COLUMN, ROW, GAP = 52, 30, 6
COLOURS = ["#1f6feb", "#bf5700", "#1a7f37", "#8250df", "#cf222e", "#9a6700", "#0a7ea4", "#57606a"]
MOST_SERIES, MOST_ROWS = 8, 6


class QueryError(Exception):
    """Prometheus does not take the query."""


def ask(base, path, **parameters):
    url = f"{base}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        raise QueryError(error.read().decode(errors="replace")) from error


def variables(dashboard, chosen):
    """Every variable of the dashboard with its default, unless it is chosen."""
    found = {"__rate_interval": "1m"}
    for variable in dashboard["templating"]["list"]:
        name, default = variable["name"], variable.get("query")
        found[name] = default if isinstance(default, str) else ".+"
    found.update({name: value for name, value in chosen.items() if value})
    return found


def filled(expression, values):
    # The longest first: `$price_read` is not `$price`.
    for name in sorted(values, key=len, reverse=True):
        expression = expression.replace(f"${{{name}}}", values[name]).replace(f"${name}", values[name])
    return expression


def legend(target, labels):
    text = target.get("legendFormat") or ""
    for name, value in labels.items():
        text = text.replace("{{" + name + "}}", value)
    if text and "{{" not in text:
        return text
    return ", ".join(f"{name}={value}" for name, value in labels.items() if name not in ("job", "__name__")) or "value"


def number(value, unit):
    if math.isnan(value) or math.isinf(value):
        return "–"
    if unit == "percentunit":
        return f"{value * 100:.1f} %"
    if unit == "bytes" or unit == "decbytes":
        for name in ("B", "KiB", "MiB", "GiB"):
            if abs(value) < 1024 or name == "GiB":
                return f"{value:.3g} {name}"
            value /= 1024
    if unit == "s":
        return f"{value * 1000:.3g} ms" if abs(value) < 1 else f"{value:.4g} s"
    if unit.startswith("currency"):
        return f"$ {value:.4f}"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3g}"


def text(x, y, words, size=11, colour="#24292f", weight="normal"):
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="{colour}" font-weight="{weight}">{escape(words)}</text>'


def samples(series):
    """Of a range: what is a number."""
    points = ((float(at), float(value)) for at, value in series["values"])
    return [(at, value) for at, value in points if math.isfinite(value)]


def plot(box, found, unit, window):
    """Lines over time, the highest value at the top."""
    x, y, width, height = box
    begin, end = window
    lines = [(name, samples(series)) for name, series in found[:MOST_SERIES]]
    lines = [(name, points) for name, points in lines if points]
    top = max((value for _, points in lines for _, value in points), default=0) or 1
    bottom = height - 16
    drawn = [f'<line x1="{x}" y1="{y + bottom}" x2="{x + width}" y2="{y + bottom}" stroke="#d0d7de"/>']
    drawn.append(text(x, y + 8, number(top, unit), 9, "#57606a"))
    left = x
    for (name, points), colour in zip(lines, COLOURS):
        place = lambda at, value: (x + (at - begin) / (end - begin) * width, y + bottom - value / top * (bottom - 10))
        path = " ".join("{:.1f},{:.1f}".format(*place(at, value)) for at, value in points)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.2"/>')
        if left < x + width - 30:
            drawn.append(text(left, y + height - 3, name[:22], 9, colour))
            left += 6 * len(name[:22]) + 10
    return drawn


def rows(box, found, unit):
    x, y, width, _ = box
    drawn = []
    for n, (name, series) in enumerate(found[:MOST_ROWS]):
        line = y + 14 + 15 * n
        drawn.append(text(x, line, name[: int(width / 8)], 10))
        drawn.append(text(x + width - 55, line, number(float(series["value"][1]), unit), 10, weight="bold"))
    return drawn


def panel(base, one, values, window):
    """What is drawn of a panel, and whether there is anything."""
    place, unit = one["gridPos"], one.get("fieldConfig", {}).get("defaults", {}).get("unit", "short")
    x, y = place["x"] * COLUMN, place["y"] * ROW
    width, height = place["w"] * COLUMN - GAP, place["h"] * ROW - GAP
    if one["type"] == "row":
        return [text(x + 4, y + 20, filled(one["title"], values), 15, weight="bold")], True
    begin, end = window
    found = []
    for target in one["targets"]:
        expression = filled(target["expr"], values)
        if one["type"] == "timeseries":
            step = max(5, (end - begin) / 240)
            answer = ask(base, "query_range", query=expression, start=begin, end=end, step=step)
        else:
            answer = ask(base, "query", query=expression, time=end)
        found += [(legend(target, series["metric"]), series) for series in answer]
    drawn = [f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="3" fill="#ffffff" stroke="#d0d7de"/>']
    drawn.append(text(x + 8, y + 16, one["title"], 11, "#57606a"))
    box = (x + 8, y + 24, width - 16, height - 30)
    if not found:
        drawn.append(text(x + width / 2 - 25, y + height / 2 + 8, "no data", 11, "#8c959f"))
    elif one["type"] == "timeseries":
        drawn += plot(box, found, unit, window)
    elif one["type"] == "stat":
        drawn.append(text(x + 8, y + height / 2 + 18, number(float(found[0][1]["value"][1]), unit), 26, weight="bold"))
    else:
        drawn += rows(box, found, unit)
    return drawn, bool(found)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--prometheus", default="http://127.0.0.1:9090")
    options.add_argument("--minutes", type=float, default=60)
    options.add_argument("--job", default="sessiond")
    options.add_argument("--tenant", default=".+")
    options = options.parse_args()
    dashboard = json.loads(DASHBOARD.read_text())
    values = variables(dashboard, {"job": options.job, "tenant": options.tenant, "instance": ".+"})
    end = time.time()
    window = (end - 60 * options.minutes, end)
    drawn, is_refused = [], False
    for one in dashboard["panels"]:
        try:
            some, has_data = panel(options.prometheus, one, values, window)
        except QueryError as error:
            is_refused = True
            print(f"{one['title']}: refused: {error}", file=sys.stderr)
            continue
        drawn += some
        if not has_data:
            print(f"{one['title']}: no data", file=sys.stderr)
    height = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in dashboard["panels"]) * ROW
    print(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {24 * COLUMN} {height}" '
        'font-family="system-ui, sans-serif"><rect width="100%" height="100%" fill="#f6f8fa"/>'
    )
    print("\n".join(drawn))
    print("</svg>")
    sys.exit(1 if is_refused else 0)


if __name__ == "__main__":
    main()
