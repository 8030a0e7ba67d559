"""The search for the fastest settings: races on paired blocks, one setting at a time.

1. The loader whose default settings look fastest races against those of the others.
2. For the fastest loader, the values of each setting race against the current value; settings that
   usually gain most come first.
3. Settings that tied but looked faster race together, since small gains add up.
4. The winner's settings are tried on the other loaders.

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
from statistics import mean

from feedbench.bench.analysis.compare import ERROR_RATE
from feedbench.bench.plan.plan import Choice
from feedbench.bench.tune.race import CONFIRMATION_JUDGED_AFTER, Finding, Outcome, Race, Standing
from feedbench.bench.tune.rounds import Results, Rounds
from feedbench.bench.tune.space import TOGETHER, alternatives, combine_ties, transfer_settings
from feedbench.loaders import find_loader

FIRST_ROUNDS = 2  # choose the default that the others are compared with; no result rests on them
MEASURED_ROUNDS = 6  # whose blocks give the rate of the best; it was chosen by others
_RAN: tuple[Outcome, ...] = ("slower", "tie", "cannot tell")


class _BestLost(Exception):
    """The best configuration failed again after a restart, or must not win any more."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


class Search:
    """Races configurations; its attributes are valid at any time, also after an exception.

    Attributes:
        findings: the results of all comparisons, in order.
        chosen_round: index of the first round after the best was chosen.
        is_measuring: whether the search has ended and the best is timed alone.
    """

    def __init__(
        self,
        rounds: Rounds,
        end: Callable[[Choice], None],
        refusal: Callable[[Choice], str],
        on_finding: Callable[[Finding], None],
        on_round: Callable[[Standing], None],
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
            reads_objects: whether the images lie in object storage.
        """
        self.findings: list[Finding] = []
        self.chosen_round = 0
        self.is_measuring = False
        self._rounds = rounds
        self._end = end
        self._refusal = refusal
        self._on_finding = on_finding
        self._on_round = on_round
        self._reads_objects = reads_objects
        self._ahead: tuple[str, ...] = ()  # settings to try after the present one
        self._best: Choice | None = None
        self._is_compared = False
        self._race_now: Race | None = None
        self._confirmations = 0
        self._failures: dict[str, int] = {}  # how often a block failed

    @property
    def best(self) -> Choice | None:
        """The fastest configuration; None before a race has ended."""
        return self._best if self._is_compared else None

    def run(self, defaults: Sequence[Choice]) -> None:
        """Search until nothing is left to try.

        Args:
            defaults: the configurations to start from, at least one per loader.

        Raises:
            Exception: whatever `rounds` raises, such as at the end of the budget.
        """
        running = self._choose_first(defaults)
        while self._best is not None:
            try:
                self._improve(self._best, running)
                self._is_compared = True
                return
            except _BestLost as loss:
                running = self._fall_back(running, loss)

    def measure_best(self, blocks: Callable[[], int]) -> None:
        """Time the best alone, until it has enough blocks that it was not chosen by.

        One that fails again, or comes to use too much memory, is replaced by the runner-up.

        Args:
            blocks: returns how many the best has.

        Raises:
            Exception: whatever `rounds` raises, such as at the end of the budget.
        """
        self.is_measuring = True
        while (best := self.best) is not None and blocks() < MEASURED_ROUNDS:
            left = MEASURED_ROUNDS - blocks()
            self._on_round(Standing("the rate of the best", best, (best,), left))
            _, results = self._rounds.time([best])
            try:
                self._check(best, results)
            except _BestLost as loss:
                self._fall_back([], loss)

    def _choose_first(self, defaults: Sequence[Choice]) -> list[Choice]:
        """Choose the default that looks fastest; return all that run."""
        running, rates = list(defaults), {str(choice): [0.0] for choice in defaults}
        failed: list[tuple[Choice, str]] = []
        for number in range(FIRST_ROUNDS):
            if not running:
                break
            left = FIRST_ROUNDS - number
            self._on_round(Standing("the loaders' first settings", None, (*running,), left))
            _, results = self._rounds.time(running)
            for choice in list(running):
                rate = results[str(choice)]
                if isinstance(rate, str):
                    failed.append((choice, rate))
                    running.remove(choice)
                else:
                    rates[str(choice)].append(rate)
        able = [choice for choice in running if not self._refusal(choice)]
        if able:
            self._choose(max(able, key=lambda choice: mean(rates[str(choice)])))
        reference = self._best or defaults[0]
        for choice, reason in failed:
            self._report_without_pairs(choice, reference, "failed", reason)
        for choice in running if not able else ():
            self._report_without_pairs(choice, reference, "refused", self._refusal(choice))
        return running

    def _improve(self, best: Choice, defaults: Sequence[Choice]) -> None:
        """Race against the other defaults, then over settings."""
        best = self._race(best, [choice for choice in defaults if choice != best], None)
        best = self._try_settings(best)
        others = [choice for choice in defaults if choice.loader != best.loader]
        new_best = self._race(best, transfer_settings(best, others), None)
        if new_best.loader != best.loader:
            self._try_settings(new_best)

    def _try_settings(self, best: Choice) -> Choice:
        """Try the values of every setting, then all that tied together; return the new best."""
        first = len(self.findings)
        loader = find_loader(best.loader)
        unused = () if self._reads_objects else loader.object_settings
        names = tuple(name for name in loader.space if name not in unused)
        for number, name in enumerate(names):
            self._ahead = names[number + 1 :]
            best = self._race(best, alternatives(best, name), name)
        combined = combine_ties(best, self.findings[first:])
        return best if combined is None else self._race(best, [combined], TOGETHER)

    def _race(self, best: Choice, challengers: Sequence[Choice], setting: str | None) -> Choice:
        """Race challengers against the best; return the new best."""
        challengers = [choice for choice in challengers if self._is_new(choice, best)]
        if not challengers:
            return best
        purpose = "the loaders" if setting is None else setting
        race = self._run(Race(best, challengers), purpose)
        findings, candidate = race.findings(setting), race.candidate()
        if candidate is not None:
            (confirmed,) = self._confirm(best, candidate).findings(setting)
            findings[challengers.index(candidate)] = confirmed
            if confirmed.outcome == "faster":
                self._choose(candidate)
        self._is_compared = True
        for finding in findings:
            self._report(finding)
        assert self._best is not None
        return self._best

    def _confirm(self, best: Choice, candidate: Choice) -> Race:
        """Race a candidate alone against the best, on new blocks.

        The parts of the error rate, 1/2, 1/6, 1/12 and so on, add up to 1 for any number of races.
        """
        self._confirmations += 1
        rate = ERROR_RATE / (self._confirmations * (self._confirmations + 1))
        race = Race(best, [candidate], CONFIRMATION_JUDGED_AFTER, rate, confirms=True)
        return self._run(race, "what looked faster, on new blocks")

    def _run(self, race: Race, purpose: str) -> Race:
        """Time rounds until the race is over.

        All processes of a race start with it, so that none had more time to warm up.
        """
        self._race_now = race
        while not race.is_over:
            self._on_round(self._standing(race, purpose))
            self._time_round(race)
        for choice in (race.best, *race.running):
            self._end(choice)
        return race

    def _standing(self, race: Race, purpose: str) -> Standing:
        running, findings = (race.best, *race.running), tuple(race.findings(None))
        return Standing(purpose, race.best, running, race.rounds_left, findings, self._ahead)

    def _time_round(self, race: Race) -> None:
        """Time one block of each; end the challengers that are settled by it."""
        running = race.running
        index, results = self._rounds.time([race.best, *running])
        race.add(index, results)
        race.judge(self._refusal)
        for choice in running:
            if choice not in race.running:
                self._end(choice)
        self._check(race.best, results)

    def _check(self, best: Choice, results: Results) -> None:
        """Note what failed in a round.

        Raises:
            _BestLost: the best has failed again, or may not win any more.
        """
        for name, rate in results.items():
            if isinstance(rate, str):
                self._failures[name] = self._failures.get(name, 0) + 1
        if self._failures.get(str(best), 0) > 1:
            raise _BestLost("failed", str(results[str(best)]))
        if reason := self._refusal(best):
            raise _BestLost("refused", reason)

    def _fall_back(self, running: list[Choice], loss: _BestLost) -> list[Choice]:
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
        return str(choice) not in self._failures and not self._refusal(choice)

    def _is_new(self, choice: Choice, best: Choice) -> bool:
        """Whether a comparison of two configurations is possible and was not made."""
        pairs = [(finding.choice, finding.against) for finding in self.findings]
        return str(choice) not in self._failures and (choice, best) not in pairs

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
        self.findings.append(finding)
        self._on_finding(finding)
