#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""DOC: the figures of one benchmark run, beside the bars they must meet

report.py [--json FILE] < FIGURES

FIGURES are lines "SECTION.VARIANT.FIGURE NUMBER" (round trips have no
variant). Prints a table for each section that was measured, with ratios to
flock(1) of the same run, then one line for each of its bars. --json writes
figures and bars to a file too. Exit status 1 where a bar is broken or its
figure is missing, else 0.
"""

import json
import sys

# Fewer instances share their common pages among fewer: not comparable.
PSS_INSTANCES = 1000


def table(title, columns, rows):
    print(f'\n{title}')
    widths = [max(len(str(row[i])) for row in [columns] + rows)
              for i in range(len(columns))]
    for row in [columns] + rows:
        cells = [str(row[0]).ljust(widths[0])]
        cells += [str(cell).rjust(width)
                  for cell, width in zip(row[1:], widths[1:])]
        print('  ' + '  '.join(cells))


def number(value, form='.0f', scale=1.0):
    return '-' if value is None else format(value * scale, form)


def ratio(value, reference):
    return f'{value / reference:.2f}' if value and reference else '-'


class Figures:
    """What was measured, by its dotted name."""

    def __init__(self, lines):
        self.all = {}
        for line in lines:
            name, value = line.split()
            self.all[name] = float(value)

    def get(self, *name):
        return self.all.get('.'.join(name))

    def variants(self, section):
        """In the order in which they were measured."""
        names = [name.split('.') for name in self.all]
        return list(dict.fromkeys(
            parts[1] for parts in names
            if parts[0] == section and len(parts) == 3))


def start_table(figures):
    flock = figures.get('start', 'flock', 'over_us')
    rows = []
    for variant in figures.variants('start'):
        over = figures.get('start', variant, 'over_us')
        rows.append([variant] + [
            number(figures.get('start', variant, key))
            for key in ('median_us', 'p10_us', 'p90_us', 'over_us')] + [
                ratio(over, flock),
                number(figures.get('start', variant, 'cpu_us'))])
    if rows:
        table('start and end of /bin/true, microseconds',
              ['variant', 'median', 'p10', 'p90', 'over bare', 'of flock',
               'cpu'], rows)


def idle_table(figures):
    flock = figures.get('idle', 'flock', 'pss_kib')
    rows = []
    for variant in figures.variants('idle'):
        pss = figures.get('idle', variant, 'pss_kib')
        rows.append([
            variant, number(figures.get('idle', variant, 'instances')),
            number(pss, '.1f'), ratio(pss, flock),
            number(figures.get('idle', variant, 'private_kib'), '.1f'),
            number(figures.get('idle', variant, 'wakeups'), '.3f'),
            number(figures.get('idle', variant, 'threads'), 'g')])
    if rows:
        table('idle, for each instance',
              ['variant', 'instances', 'PSS KiB', 'of flock', 'private KiB',
               'wake-ups/s', 'threads'], rows)


def each_vm(figures):
    """Milliseconds until a VM is found again."""
    total = figures.get('attach', 'total_ms')
    return total and total / figures.get('attach', 'instances')


def answer_tables(figures):
    if figures.get('rtt', 'median_us') is not None:
        table('query-child, round trip, microseconds',
              ['', 'median', 'p10', 'p90'],
              [['virt-lock-supervisor'] + [
                  number(figures.get('rtt', key), '.1f')
                  for key in ('median_us', 'p10_us', 'p90_us')]])
    if figures.get('attach', 'total_ms') is not None:
        table('until a manager that starts again has all VMs back',
              ['', 'VMs', 'milliseconds', 'each'],
              [['virt-lock-supervisor',
                number(figures.get('attach', 'instances')),
                number(figures.get('attach', 'total_ms'), '.1f'),
                number(each_vm(figures), '.3f')]])
    rows = []
    for variant in figures.variants('death'):
        plain = figures.get('death', variant, 'plain_us')
        revoked = figures.get('death', variant, 'revoked_us')
        rows.append([variant, number(plain, '.2f', .001),
                     number(figures.get('death', variant, 'plain_p90_us'),
                            '.2f', .001),
                     number(revoked, '.2f', .001),
                     number(figures.get('death', variant, 'revoked_p90_us'),
                            '.2f', .001),
                     ratio(revoked, plain)])
    if rows:
        table('until the child is dead, milliseconds',
              ['child', 'SIGKILL', 'p90', 'revoke', 'p90', 'ratio'], rows)


def handover_table(figures):
    rows = [[variant] + [
        number(figures.get('handover', variant, key))
        for key in ('median_us', 'p99_us', 'hops', 'stolen', 'lost')]
            for variant in figures.variants('handover')]
    if rows:
        table('hand-over of 8 disks while the guest is down, microseconds, '
              'and a thief',
              ['variant', 'median', 'p99', 'moves', 'disks stolen',
               'moves lost'], rows)


def times(value, factor):
    return None if value is None else value * factor


def bars(figures):
    """(section, what, figure, bar, aim or None, unit) of each bar."""
    flock = figures.get('start', 'flock', 'over_us')
    return [
        ('start', 'start, file driver, one disk, over bare',
         figures.get('start', 'vls-file', 'over_us'),
         times(flock, 1.3), flock, 'us'),
        ('idle', 'PSS of an idle instance',
         figures.get('idle', 'vls-file', 'pss_kib'), 110, None, 'KiB'),
        ('idle', 'wake-ups of an idle instance',
         figures.get('idle', 'vls-file', 'wakeups'), 0, None, '/s'),
        ('idle', 'threads',
         figures.get('idle', 'vls-file', 'threads'), 1, None, ''),
        ('rtt', 'query-child round trip',
         figures.get('rtt', 'median_us'), 25, None, 'us'),
        ('attach', 'a thousand VMs found again',
         times(each_vm(figures), 1000), 1000, None, 'ms'),
        ('death', 'revoke until a tiny child is dead',
         figures.get('death', 'tiny', 'revoked_us'), 1000, None, 'us'),
        ('death', 'revoke until QEMU with 1 GiB is dead',
         figures.get('death', 'qemu', 'revoked_us'),
         times(figures.get('death', 'qemu', 'plain_us'), 1.1), None, 'us'),
        ('handover', 'hand-over, added to the downtime, p99',
         figures.get('handover', 'vls', 'p99_us'), 1000, None, 'us'),
        ('handover', 'hand-over, disks stolen by a thief',
         figures.get('handover', 'vls', 'stolen'), 0, None, ''),
    ]


def judged(figures):
    """The bars of what was measured in this run."""
    sections = {name.split('.')[0] for name in figures.all}
    found = [bar[1:] for bar in bars(figures) if bar[0] in sections]
    instances = figures.get('idle', 'vls-file', 'instances') or 0
    if 0 < instances < PSS_INSTANCES:
        found = [bar for bar in found if not bar[0].startswith('PSS')]
        print(f'\nPSS is not judged: {instances:.0f} instances, not '
              f'{PSS_INSTANCES}')
    return found


def judge(found):
    """Prints the verdicts and returns them for the JSON file."""
    verdicts = []
    print('\nbars')
    for what, figure, bar, aim, unit in found:
        # figures are printed with one digit; so are they judged
        met = (figure is not None and bar is not None and
               round(figure, 1) <= round(bar, 1))
        line = (f'  {"ok    " if met else "BROKEN"}  {what}: '
                f'{number(figure, ".1f")} {unit}, bar {number(bar, ".1f")}')
        if aim is not None:
            line += f', aim {number(aim, ".1f")}'
        print(line)
        verdicts.append({'what': what, 'figure': figure, 'bar': bar,
                         'aim': aim, 'unit': unit, 'met': met})
    return verdicts


def main():
    if len(sys.argv) not in (1, 3) or sys.argv[1:2] not in ([], ['--json']):
        print('usage: report.py [--json FILE] < FIGURES', file=sys.stderr)
        return 2
    figures = Figures(sys.stdin)
    start_table(figures)
    idle_table(figures)
    answer_tables(figures)
    handover_table(figures)
    verdicts = judge(judged(figures))
    if len(sys.argv) == 3:
        with open(sys.argv[2], 'w', encoding='utf-8') as file:
            json.dump({'figures': figures.all, 'bars': verdicts}, file,
                      indent=1)
            file.write('\n')
    broken = [verdict['what'] for verdict in verdicts if not verdict['met']]
    if broken:
        print(f'bench: {len(broken)} of {len(verdicts)} bars broken: '
              + '; '.join(broken))
    return 1 if broken else 0


if __name__ == '__main__':
    sys.exit(main())
