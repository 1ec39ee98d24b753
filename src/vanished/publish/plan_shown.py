"""A plan for eyes: the terminal's tables with a graph in characters, and the graph as SVG.

In: a `Plan`. Out: text on a console, or the text of an SVG file that names no host.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vanished.clock import span
from vanished.errors import UsageError
from vanished.model import at
from vanished.publish.axis import DELAYS, amounts, short, spanning
from vanished.publish.characters import MARKED, graph
from vanished.publish.plan import DAY_S, METHOD, Plan, Step
from vanished.publish.svg import COLOURS, Frame, page, words
from vanished.watch.hazard import CAP_S
from vanished.watch.planning import Buys

SOON = 0.99  # of the losses noticed within an hour: then what comes within 10 minutes says more
CAVEAT = (
    "A delay lasts from a loss to the first answer that says gone; above"
    f" {span(CAP_S)} it counts as that. Only looks are counted: not losses that a list or a stream"
    " shows sooner, nor sweeps, nor looks that fail. A request that several posts share is taken as"
    " full, a list as one request. In simulations the delays kept were 1.1 to 1.5 times the planned"
    " ones: see docs/schedule.md."
)

_DRAWN = "mean delay until a loss is noticed, against requests a day; {mark}: today's budget"


def show(plan: Plan, console: Console, rows: int) -> None:
    """Print it, with `rows` hosts at most; tables shrink to the terminal's width."""
    _show_basis(console, plan)
    _show_steps(console, plan)
    _show_graph(console, plan)
    _show_hosts(console, plan, rows)
    for remark in plan.remarks:
        console.print(Text(remark), style="yellow")
    console.print(f"Method: {METHOD}. {CAVEAT}", style="dim")


def draw(plan: Plan, file: Path) -> None:
    """Write the graph as SVG. Raises UsageError for a file that cannot be written, or is no .svg:
    a slip of the pen must not overwrite something else."""
    if file.suffix.lower() != ".svg":
        raise UsageError(f"{file} does not end in .svg; name a file for the picture that does.")
    if len(_drawn(plan)) < 2:
        raise UsageError("There is no picture: no loss is expected, or there is a single step.")
    try:
        file.write_text(svg(plan), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{file} cannot be written: {error.strerror}; name another file."
        ) from None


def svg(plan: Plan) -> str:
    """Mean delay against requests a day, both by their logarithms; today's budget marked."""
    drawn = _drawn(plan)
    frame, (points, below, beside) = Frame(left=70), _points(plan)
    now = drawn.index(plan.today)
    parts = [*frame.grid(below, beside), frame.line(points, COLOURS[0])]
    for number, ((x, y), step) in enumerate(zip(points, drawn, strict=True)):
        colour = COLOURS[1] if number == now else COLOURS[0]
        radius = 6 if number == now else 4
        place = frame.x(x), frame.y(y)
        parts.append(
            f'<circle cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="{radius}" fill="{colour}"/>'
        )
        label = f"{_times(step.times)}: {_delay(step.buys)}"
        if place[0] < frame.right - 100:  # the line falls: above and to the right it is free
            parts.append(words(place[0] + 9, place[1] - 9, label))
        else:
            parts.append(words(place[0] - 9, place[1] + 18, label, "end"))
    under = frame.bottom + 42
    parts.append(words(frame.left, under, _DRAWN.format(mark="the large dot")))
    parts.append(words(frame.left, under + 20, _denominators(plan)))
    return page("What a request budget buys", parts, under + 36)


def _drawn(plan: Plan) -> Sequence[Step]:
    """The steps that can be drawn."""
    return [step for step in plan.steps if step.buys.delay_s is not None]


def _points(
    plan: Plan,
) -> tuple[list[tuple[float, float]], list[tuple[float, str]], list[tuple[float, str]]]:
    """The steps as places in a graph, and the labels below it and beside it."""
    budgets = [step.budget_per_s * DAY_S for step in _drawn(plan)]
    delays = [step.buys.delay_s or 0.0 for step in _drawn(plan)]
    across, up = spanning(budgets, amounts(budgets)), spanning(delays, DELAYS)
    return (
        [(across.place(b), up.place(d)) for b, d in zip(budgets, delays, strict=True)],
        [(across.place(value), label) for value, label in across.marks],
        [(up.place(value), label) for value, label in up.marks],
    )


def _times(times: float) -> str:
    return f"× 1/{1 / times:g}" if times < 1 and (1 / times).is_integer() else f"× {times:g}"


def _delay(buys: Buys) -> str:
    return "none expected" if buys.delay_s is None else span(buys.delay_s)


def _share(buys: Buys, number: int) -> str:
    return "" if buys.within is None else f"{buys.within[number]:.1%}"


def _a_day(per_s: float) -> str:
    return short(per_s * DAY_S) if per_s else "0"


def _denominators(plan: Plan) -> str:
    lost = plan.today.buys.losses_per_s * DAY_S
    return (
        f"{plan.posts} posts of {plan.of_accounts} accounts, {short(lost)} losses expected a day;"
        f" hazards of {at(plan.at):%Y-%m-%d %H:%M} UTC"
    )


def _show_basis(console: Console, plan: Plan) -> None:
    console.print("What a request budget buys", style="bold")
    console.print(f"  {_denominators(plan)}")
    if plan.other_posts:
        console.print(
            f"  not planned for: {plan.other_posts} posts that are lost, in doubt or not proven"
            " alive yet"
        )
    console.print(f"  {plan.rests_on}", style="" if plan.learnt else "yellow")


def _table(*heads: str) -> Table:
    """Narrow enough for 80 columns: heads stand on two lines, numbers to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for head in heads:
        left = head in ("platform", "host")
        table.add_column(head, justify="left" if left else "right", no_wrap=True)
    return table


def _show_steps(console: Console, plan: Plan) -> None:
    console.print()
    table = _table(
        "budget", "requests\na day", "looks\ntake", "looks\na day", "mean\ndelay", "within\n10 min",
        "within\n1 h", "within\n24 h", "retired",
    )  # fmt: skip
    for step in plan.steps:
        buys = step.buys
        table.add_row(
            _times(step.times), _a_day(step.budget_per_s), _a_day(buys.requests_per_s),
            _a_day(buys.looks_per_s), _delay(buys), _share(buys, 0), _share(buys, 1),
            _share(buys, 2), f"{buys.retired / buys.posts:.0%}",
            style="bold" if step is plan.today else "",
        )  # fmt: skip
    console.print(table)
    console.print(
        f"  × 1: today's, as observatory.toml gives it. Of it lists take {_a_day(plan.lists_per_s)}"
        f" requests a day, canaries {_a_day(plan.canaries_per_s)}. within: share of the losses that"
        f" are noticed in that time. retired: share of the {plan.posts} posts, which only the"
        " census asks about."
    )
    console.print(Text(f"  {_next(plan)}"))


def _next(plan: Plan) -> str:
    """What the next step above today's budget would buy."""
    now = plan.today.buys
    if now.within is None:
        return "No loss is expected at these hazards, so no budget buys anything."
    step = next((step for step in plan.steps if step.times > 1), None)
    if step is None:
        return "No step above today's budget was asked for."
    number, time = (1, "1 h") if now.within[1] < SOON else (0, "10 min")
    more = _a_day(step.budget_per_s - plan.today.budget_per_s)
    return (
        f"The next step, {_times(step.times)}, costs {more}"
        f" requests a day more: a mean delay of {_delay(step.buys)} instead of {_delay(now)}, and"
        f" {_share(step.buys, number)} of the losses noticed within {time} instead of"
        f" {_share(now, number)}."
    )


def _show_graph(console: Console, plan: Plan) -> None:
    if len(_drawn(plan)) < 2:
        return
    points, below, beside = _points(plan)
    console.print()
    console.print(f"  {_DRAWN.format(mark=MARKED)}", markup=False)
    wide = min(console.width - 4, 92)
    for line in graph(points, _drawn(plan).index(plan.today), below, beside, wide=wide, high=16):
        console.print(Text(f"  {line}"))


def _show_hosts(console: Console, plan: Plan, rows: int) -> None:
    console.print()
    console.print("Requests a day by platform and host, at today's budget", style="bold")
    table = _table(
        "platform", "host", "budget", "lists and\ncanaries", "looks\ntake", "looks\na day", "posts",
        "losses\na day", "mean\ndelay",
    )  # fmt: skip
    shown = plan.hosts[:rows]
    for place in [*plan.platforms, *shown]:
        buys = place.buys
        table.add_row(
            place.platform, place.host, _a_day(place.budget_per_s),
            _a_day(place.lists_per_s + place.canaries_per_s), _a_day(buys.requests_per_s),
            _a_day(buys.looks_per_s), str(round(buys.posts)), _a_day(buys.losses_per_s),
            _delay(buys),
        )  # fmt: skip
    console.print(table)
    if len(plan.hosts) > len(shown):
        console.print(f"  … and {len(plan.hosts) - len(shown)} more hosts; --rows lists more")
