#!/usr/bin/env python3
"""Tables and plots of what `shunt perf compare --output json` wrote. Standard library only.

    plots.py row NAME TARGET MEASURE FILE    one line of the table of scripts/figures.sh
    plots.py scale NAME FILE PEER            one line of the table of what is declared, from
                                             `shunt perf scale --output json`
    plots.py svg FOLDER OUT                  FOLDER/plot.CHART.X.json, a file a point, to
                                             OUT/CHART.svg
"""

import json
import math
import pathlib
import statistics
import sys
from xml.sax.saxutils import escape

# By the name in the files: title, what stands on the axes, the measure, the two sides.
CHARTS = {
    'size': ('Messages a second by size of the body', 'octets of a body', 'messages a second',
             'received_per_s', ('Shunt', 'RabbitMQ')),
    'rate': ('99th percentile from publish to delivery, by rate', 'messages a second',
             'microseconds', 'delivery_p99_us', ('Shunt', 'RabbitMQ')),
    'bindings': ('Topic exchange by number of bindings, one of which matches', 'bindings',
                 'messages a second', 'received_per_s', ('Shunt', 'RabbitMQ')),
    'wasm': ('A WebAssembly route beside a native topic exchange', 'bindings',
             'messages a second', 'received_per_s', ('route by-key', 'topic exchange')),
}

COLOURS = ('#0b6e99', '#d1495b')
WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 84, 20, 44, 52


def number(value):
    """Large numbers with thin spaces, small ones with as many digits as mean something."""
    if abs(value) >= 1000:
        return f'{value:,.0f}'.replace(',', ' ')
    return f'{value:.3g}'


def met(target, ratio):
    """Whether a ratio is what was aimed at: at least, or with a '<' at most."""
    if target.startswith('<'):
        return ratio <= float(target[1:])
    return ratio >= float(target)


def relayed(measure, paths):
    """The median of what a bare relay reached, '' where none was asked."""
    found = [json.loads(pathlib.Path(path).read_text(encoding='utf-8')) for path in paths]
    kind, _, quantile = measure.partition('_p99')
    values = [run[f'{kind}_latency'][f'p99{quantile}'] if quantile else run[measure]
              for run in found]
    return statistics.median(values) if values else None


def row(name, target, measure, path, relay_paths):
    """A line of the table, with the median and the spread of the ratios."""
    found = json.loads(pathlib.Path(path).read_text(encoding='utf-8'))
    values = found['measures'][measure]
    ratio = values['a_to_b']
    cost = found['measures'].get('broker_us_per_message')
    cost = f"{cost['a']['median']:.2f} to {cost['b']['median']:.2f}" if cost else ''
    mark = '' if met(target, ratio['median']) else ' (missed)'
    aim = target.replace('<', 'at most ')
    relay = relayed(measure, relay_paths)
    relay = f"{number(relay)}, {relay / values['b']['median']:.3g}" if relay else ''
    print(f"| {name} | {number(values['a']['median'])} | {number(values['b']['median'])} | "
          f"{ratio['median']:.3g} ({ratio['min']:.3g} to {ratio['max']:.3g}){mark} | {aim} | {relay} | {cost} |")


def scale(name, path, peer_path):
    """A line of the table of what is declared and not used."""
    own, peer = (json.loads(pathlib.Path(p).read_text(encoding='utf-8'))[0]
                 for p in (path, peer_path))
    print(f"| {name} | {number(own['count'])} | {number(own['bytes_each'])} | "
          f"{number(peer['bytes_each'])} | {number(own['broker_us_each'])} | "
          f"{number(peer['broker_us_each'])} |")


def points(folder, chart, measure):
    """By side: (x, median, lowest, highest) in the order of x."""
    sides = {'a': [], 'b': []}
    for path in folder.glob(f'plot.{chart}.*.json'):
        x = float(path.name.split('.')[2])
        values = json.loads(path.read_text(encoding='utf-8'))['measures'].get(measure)
        for side, found in sides.items():
            if values:
                found.append((x, *(values[side][key] for key in ('median', 'min', 'max'))))
    return [sorted(found) for found in sides.values()]


def ticks(low, high):
    """Powers of ten from `low` to `high`, with 2 and 5 between them where few fit."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(exponents) <= 3 else (1,)
    all_ticks = [step * 10.0 ** exponent for exponent in exponents for step in steps]
    return [tick for tick in all_ticks if low <= tick <= high]


class Axis:
    """A logarithmic axis: from values to places in the drawing."""

    def __init__(self, values, start, end):
        self.low, self.high = min(values), max(values)
        if self.low == self.high:
            self.low, self.high = self.low / 2, self.high * 2
        self.start, self.end = start, end

    def place(self, value):
        span = math.log(self.high / self.low)
        return self.start + (self.end - self.start) * math.log(value / self.low) / span


def text(x, y, content, anchor='middle', extra=''):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {extra}>{escape(content)}</text>'


def line(x1, y1, x2, y2, colour, width=1.0):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'stroke="{colour}" stroke-width="{width}"/>')


def draw(chart, sides):
    """One chart as SVG."""
    title, x_name, y_name, _, names = CHARTS[chart]
    everything = [point for side in sides for point in side]
    lows = [low for _, _, low, _ in everything if low > 0]
    highs = [high for _, _, _, high in everything]
    x_axis = Axis([x for x, *_ in everything], LEFT, WIDTH - RIGHT)
    # A tenth of room below and above, so that no point lies on the edge.
    y_axis = Axis([min(lows) / 1.1, max(highs) * 1.1], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12" fill="#333">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        text(WIDTH / 2, 20, title, extra='font-size="14"'),
        text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x_name),
        text(16, HEIGHT / 2, y_name, extra=f'transform="rotate(-90 16 {HEIGHT / 2})"'),
    ]
    for tick in ticks(y_axis.low, y_axis.high):
        y = y_axis.place(tick)
        parts += [line(LEFT, y, WIDTH - RIGHT, y, '#ddd'),
                  text(LEFT - 6, y + 4, number(tick), 'end')]
    for x in sorted({x for x, *_ in everything}):
        place = x_axis.place(x)
        parts += [line(place, HEIGHT - BOTTOM, place, HEIGHT - BOTTOM + 5, '#333'),
                  text(place, HEIGHT - BOTTOM + 18, number(x))]
    parts.append(line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, '#333'))
    for index, (side, colour, name) in enumerate(zip(sides, COLOURS, names)):
        path = ' '.join(f'{x_axis.place(x):.1f},{y_axis.place(median):.1f}'
                        for x, median, *_ in side)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, median, low, high in side:
            place = x_axis.place(x)
            parts += [line(place, y_axis.place(low), place, y_axis.place(high), colour),
                      f'<circle cx="{place:.1f}" cy="{y_axis.place(median):.1f}" r="3.5" '
                      f'fill="{colour}"/>']
        left = LEFT + 10 + index * 150
        parts += [line(left, 34, left + 24, 34, colour, 2.0), text(left + 30, 38, name, 'start')]
    return '\n'.join(parts + ['</svg>', ''])


def svg(folder, out):
    """Every chart that there are points for."""
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for chart, (_, _, _, measure, _) in CHARTS.items():
        sides = points(pathlib.Path(folder), chart, measure)
        if all(sides):
            (out / f'{chart}.svg').write_text(draw(chart, sides), encoding='utf-8')
            print(out / f'{chart}.svg')


if __name__ == '__main__':
    match sys.argv[1:]:
        case ['row', name, target, measure, path, *relay_paths]:
            row(name, target, measure, path, relay_paths)
        case ['scale', name, path, peer_path]:
            scale(name, path, peer_path)
        case ['svg', folder, out]:
            svg(folder, out)
        case _:
            sys.exit(__doc__)
