"""The search for the fastest settings: races on paired blocks, one setting at a time.

1. The loader whose default settings look fastest races against those of the others.
2. For the fastest loader, the values of each setting race against the current value; settings that
   usually gain most come first.
3. Settings that tied but looked faster race together, since small gains add up.
4. The winner's settings are tried on the other loaders.
5. What was left out of a race for lack of time is tried again, if there is time now.

Where there is no time to judge a whole race, what looks slowest is left out, so that a short budget
compares at least the two fastest loaders.

The best of many equal values always looks faster than they are. So a race only nominates: a value
replaces the current one after a second race, of these two, in new processes and on new blocks. All
confirming races of a search together have the error rate of one comparison.

Why not Optuna: its pruners stop a trial by comparing it with recorded values of earlier trials;
even `WilcoxonPruner`, which pairs by step, compares with the best completed trial. On a shared
machine the rate drifts more between trials than settings differ. Here the rivals' blocks are
interleaved in the same rounds, the process of each is stopped while another is timed, and a
configuration is dropped as soon as its paired ratio shows that it is slower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from feedbench.bench.analysis.compare import ERROR_RATE
from feedbench.bench.plan.plan import Choice
from feedbench.bench.trials.bench import DeadlinePassed
from feedbench.bench.tune.race import (
    CONFIRMATION_JUDGED_AFTER,
    JUDGED_AFTER,
    Finding,
    Outcome,
    Race,
    Standing,
)
from feedbench.bench.tune.races import TOO_SHORT, BestLost, Races
from feedbench.bench.tune.rounds import Rounds
from feedbench.bench.tune.space import (
    TOGETHER,
    alternatives,
    combine_ties,
    transfer_settings,
    with_setting,
)
from feedbench.loaders import find_loader

FIRST_ROUNDS = 2  # choose the default that the others are compared with; no result rests on them
MEASURED_ROUNDS = 6  # whose blocks give the rate of the best; it was chosen by others
UNCONFIRMED = "it looked faster; the budget was too short to confirm it"
NOT_FASTEST = "it looked faster, but less than another; only that one was compared again"
_RAN: tuple[Outcome, ...] = ("slower", "tie", "cannot tell")


class _NoTime(Exception):
    """The budget is too short to compare even two loaders."""


class Search:
    """Races configurations; its attributes are valid at any time, also after an exception.

    Attributes:
        findings: the results of all comparisons, in order.
        chosen_round: index of the first round after the best was chosen.
    """

    def __init__(
        self,
        rounds: Rounds,
        end: Callable[[Choice], None],
        refusal: Callable[[Choice], str],
        on_finding: Callable[[Finding], None],
        on_round: Callable[[Standing], None],
        fits: Callable[[Sequence[Choice], int, Choice | None], bool] = lambda *_: True,
        *,
        reads_objects: bool = False,
    ) -> None:
        """Prepare a search.

        Args:
            rounds: times a block of each of several configurations.
            end: ends the process of a configuration; its next block starts a new one.
            refusal: returns why a configuration must not win; empty if it may.
            on_finding: called with each result.
            on_round: called before each round.
            fits: returns whether there is time for so many rounds of some configurations, and to
                measure another after that in a new process, unless it is None.
            reads_objects: whether the images lie in object storage.
        """
        self.findings: list[Finding] = []
        self.chosen_round = 0
        self._rounds = rounds
        self._races = Races(rounds, end, refusal, on_round, fits)
        self._end = end
        self._refusal = refusal
        self._on_finding = on_finding
        self._reads_objects = reads_objects
        self._best: Choice | None = None
        self._is_compared = False
        self._race_now: Race | None = None
        self._confirmations = 0

    @property
    def best(self) -> Choice | None:
        """The fastest configuration; None before a race has ended."""
        return self._best if self._is_compared else None

    @property
    def lacks_time(self) -> bool:
        """Whether something was not compared, or not to the end, for lack of time."""
        return self._races.lacks_time

    @property
    def looks_fastest(self) -> Choice | None:
        """What others are compared with now, also before it was compared with any."""
        return self._best

    def run(self, defaults: Sequence[Choice]) -> None:
        """Search until nothing is left to try, or there is no time for what is left.

        Args:
            defaults: the configurations to start from, at least one per loader.

        Raises:
            DeadlinePassed: a round took longer than foreseen.
            Exception: whatever else `rounds` raises.
        """
        running = self._choose_first(defaults)
        while self._best is not None:
            try:
                self._improve(self._best, running)
                self._is_compared |= all(one.reason != TOO_SHORT for one in self.findings)
                return
            except _NoTime:
                return
            except BestLost as loss:
                running = self._fall_back(running, loss)

    def measure_best(self, blocks: Callable[[], int]) -> None:
        """Time what looks fastest alone, until it has enough blocks that it was not chosen by.

        One that fails again, or comes to use too much memory, is replaced by the runner-up.

        Args:
            blocks: returns how many it has.

        Raises:
            Exception: whatever `rounds` raises, such as at the end of the budget.
        """
        while (best := self._best) is not None and blocks() < MEASURED_ROUNDS:
            if not self._races.has_time_for([best], 1):
                return
            left = MEASURED_ROUNDS - blocks()
            standing = Standing("the rate of the best", best, (best,), left)
            _, results = self._races.time([best], standing)
            try:
                self._races.check(best, results)
            except BestLost as loss:
                self._fall_back([], loss)

    def _choose_first(self, defaults: Sequence[Choice]) -> list[Choice]:
        """Choose the default that looks fastest; return all that run."""
        running, failed = list(defaults), list[tuple[Choice, str]]()
        for number in range(FIRST_ROUNDS):
            if not running:
                break
            if number and not self._has_time_to_choose(running):
                self._rounds.skip()
                break
            left = FIRST_ROUNDS - number
            standing = Standing("the loaders' first settings", None, (*running,), left)
            _, results = self._races.time(running, standing)
            for choice in list(running):
                rate = results[str(choice)]
                if isinstance(rate, str):
                    failed.append((choice, rate))
                    running.remove(choice)
        able = [choice for choice in running if not self._refusal(choice)]
        if able:
            self._choose(max(able, key=self._races.mean_rate))
        reference = self._best or defaults[0]
        for choice, reason in failed:
            self._report_without_pairs(choice, reference, "failed", reason)
        for choice in running if not able else ():
            self._report_without_pairs(choice, reference, "refused", self._refusal(choice))
        return running

    def _has_time_to_choose(self, running: Sequence[Choice]) -> bool:
        """Whether there is time for another round before the race, or an earlier search had it."""
        if self._rounds.was_skipped:
            return False
        return self._races.has_time_for(running, 1 + JUDGED_AFTER[0])

    def _improve(self, best: Choice, defaults: Sequence[Choice]) -> None:
        """Race against the other defaults, then over settings."""
        best = self._race(best, [choice for choice in defaults if choice != best], None)
        best = self._try_settings(best)
        others = [choice for choice in defaults if choice.loader != best.loader]
        new_best = self._race(best, transfer_settings(best, others), None)
        if new_best.loader != best.loader:
            new_best = self._try_settings(new_best)
        self._try_left_out(new_best)

    def _try_left_out(self, best: Choice) -> None:
        """Try what was left out for lack of time, with the present best, if there is time now."""
        left_out: dict[str | None, list[Choice]] = {}
        for one in self.findings:
            if one.reason == TOO_SHORT and one.setting != TOGETHER:
                left_out.setdefault(one.setting, []).append(one.choice)
        for setting, choices in left_out.items():
            best = self._race(best, with_setting(best, choices, setting), setting)

    def _try_settings(self, best: Choice) -> Choice:
        """Try the values of every setting, then all that tied together; return the new best."""
        first = len(self.findings)
        loader = find_loader(best.loader)
        unused = () if self._reads_objects else loader.object_settings
        names = tuple(name for name in loader.space if name not in unused)
        for number, name in enumerate(names):
            self._races.ahead = names[number + 1 :]
            best = self._race(best, alternatives(best, name), name)
        combined = combine_ties(best, self.findings[first:])
        return best if combined is None else self._race(best, [combined], TOGETHER)

    def _race(self, best: Choice, challengers: Sequence[Choice], setting: str | None) -> Choice:
        """Race challengers against the best; return the new best."""
        challengers = [choice for choice in challengers if self._is_new(choice, best)]
        if not challengers:
            return best
        race, confirmed = Race(best, challengers), None
        try:
            self._race_now = race
            self._races.run(race, "the loaders" if setting is None else setting)
            confirmed = self._confirmed(race, setting)
        except DeadlinePassed:
            for choice in () if race.is_over else race.running:
                race.settle(choice, "cannot tell", TOO_SHORT)
            if race.is_judged:
                self._conclude(race, confirmed, setting)
            raise
        if race.has_begun:
            self._conclude(race, confirmed, setting)
        elif not self._is_compared:
            raise _NoTime
        assert self._best is not None
        return self._best

    def _confirmed(self, race: Race, setting: str | None) -> Finding | None:
        """Race the candidate of a race alone against the best, on new blocks, if there is time.

        The parts of the error rate, 1/2, 1/6, 1/12 and so on, add up to 1 for any number of races.
        """
        candidate = race.candidate()
        if candidate is None:
            return None
        rounds = CONFIRMATION_JUDGED_AFTER[0]
        if not self._races.has_time_for([race.best, candidate], rounds, candidate):
            return None
        self._confirmations += 1
        rate = ERROR_RATE / (self._confirmations * (self._confirmations + 1))
        again = Race(race.best, [candidate], CONFIRMATION_JUDGED_AFTER, rate, confirms=True)
        self._race_now = again
        self._races.run(again, "what looked faster, on new blocks")
        (finding,) = again.findings(setting)
        return None if finding.reason == TOO_SHORT else finding

    def _conclude(self, race: Race, confirmed: Finding | None, setting: str | None) -> None:
        """Report the results of a race; its candidate wins if new blocks have confirmed it."""
        findings, candidate = race.findings(setting), race.candidate()
        reason = NOT_FASTEST if confirmed else UNCONFIRMED
        for place, finding in enumerate(findings):
            if finding.choice == candidate and confirmed:
                findings[place] = confirmed
            elif finding.choice == candidate or finding.outcome == "faster":
                update = {"outcome": "cannot tell", "reason": reason}
                findings[place] = finding.model_copy(update=update)
        if candidate is not None and confirmed and confirmed.outcome == "faster":
            self._choose(candidate)
        self._is_compared |= race.is_judged or all(one.reason != TOO_SHORT for one in findings)
        for finding in findings:
            self._report(finding)

    def _fall_back(self, running: list[Choice], loss: BestLost) -> list[Choice]:
        """Replace the lost best by what comes closest to it; return the defaults that are left."""
        lost, race = self._best, self._race_now
        assert lost is not None
        for choice in (lost, *(race.challengers if race else ())):
            self._end(choice)
        self._best = None
        running = [choice for choice in running if choice != lost]
        if (runner_up := self._runner_up(lost, race)) is not None:
            self._choose(runner_up)
        elif running:
            running = self._choose_first(running)
        self._report_without_pairs(lost, self._best or lost, loss.outcome, str(loss))
        return running

    def _runner_up(self, lost: Choice, race: Race | None) -> Choice | None:
        """Return the fastest of what the lost configuration was compared with, if any may win."""
        rivals = [
            (finding.ratio.value, finding.choice)
            for finding in (*self.findings, *(race.findings(None) if race else ()))
            if finding.against == lost and finding.ratio and finding.outcome in _RAN
        ]
        rivals += [
            (1 / finding.ratio.value, finding.against)
            for finding in self.findings
            if finding.choice == lost and finding.ratio and finding.outcome == "faster"
        ]
        able = [rival for rival in rivals if self._may_win(rival[1])]
        return max(able, key=lambda rival: rival[0])[1] if able else None

    def _may_win(self, choice: Choice) -> bool:
        return not self._races.failed(choice) and not self._refusal(choice)

    def _is_new(self, choice: Choice, best: Choice) -> bool:
        """Whether a comparison of two configurations is possible and was not made."""
        known = (finding for finding in self.findings if finding.reason != TOO_SHORT)
        pairs = [(finding.choice, finding.against) for finding in known]
        return not self._races.failed(choice) and (choice, best) not in pairs

    def _choose(self, choice: Choice) -> None:
        self._best, self.chosen_round = choice, self._rounds.next_index

    def _report_without_pairs(
        self, choice: Choice, against: Choice, outcome: Outcome, reason: str
    ) -> None:
        finding = Finding(
            choice=choice, against=against, setting=None, outcome=outcome, reason=reason
        )
        self._report(finding)

    def _report(self, finding: Finding) -> None:
        """Report a result; it replaces what was left out of an earlier race for lack of time."""
        self.findings = [
            one for one in self.findings if one.reason != TOO_SHORT or one.choice != finding.choice
        ]
        self.findings.append(finding)
        self._on_finding(finding)
