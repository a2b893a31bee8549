"""Generated news, what becomes of it on its way, and texts that are alike without being copies.

``base_articles`` writes distinct articles from a grammar of our own: a dateline, paragraphs of
sentences, invented people, places and bodies, numbers and quotes, with the stock phrases that all
news shares. ``variants_of`` makes of one what outlets, feeds and editors make of it.
``families`` writes texts that share much and are different all the same: forms filled in anew,
and stories under one disclaimer. All of it follows from a seed. Measured by ``benchmarks.dedup``.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

FAMILY_SIZES = (2, 3, 5, 40)


@dataclass(frozen=True)
class Text:
    """A text with its headline."""

    title: str
    body: str


@dataclass(frozen=True)
class Variant:
    """What became of a base article; of two, where they were glued together."""

    kind: str
    bases: tuple[int, ...]
    text: Text


@dataclass(frozen=True)
class Member:
    """One text of a family, in which no text is a copy of another."""

    kind: str
    family: str
    text: Text
    bare: bool = False
    """Whether it is nothing but the notice that its family shares."""


# ── words ───────────────────────────────────────────────────────────────────────────────────────


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


TOPICS = {
    "politics": _words(
        "ballot coalition cabinet amendment constituency deputy faction referendum speaker"
        " motion petition ministry manifesto lobbyist chamber turnout recount bill committee"
        " veto envoy treaty decree mandate delegate"
    ),
    "courts": _words(
        "verdict appeal prosecutor defendant witness testimony sentence lawsuit injunction"
        " jury tribunal indictment affidavit bail charge magistrate hearing settlement plea"
        " warrant inquest barrister custody fraud evidence"
    ),
    "sport": _words(
        "striker fixture penalty keeper relegation transfer coach stadium league referee"
        " dressing-room midfielder header substitute qualifier trophy derby cup captain injury"
        " contract supporter equaliser semi-final pitch"
    ),
    "business": _words(
        "shareholder merger dividend turnover subsidiary factory supplier invoice warehouse"
        " brand investor loan creditor profit margin retailer export tariff bond auditor"
        " takeover bid payroll patent quarter"
    ),
    "health": _words(
        "clinic vaccine ward surgeon epidemic patient nurse prescription diagnosis symptom"
        " laboratory ambulance pharmacist outbreak therapy transplant insurer midwife trial"
        " hospital virus screening dose infection paramedic"
    ),
    "disaster": _words(
        "flood landslide embankment evacuation shelter rescuer tremor aftershock wildfire"
        " firefighter storm roof debris levee reservoir helicopter survivor blackout dam siren"
        " bridge mudslide volunteer tent collapse"
    ),
    "science": _words(
        "telescope fossil satellite glacier specimen reactor orbit enzyme microscope"
        " expedition asteroid habitat species observatory sensor probe crater sediment genome"
        " isotope rover hypothesis algorithm detector launch"
    ),
    "culture": _words(
        "exhibition novelist orchestra gallery sculpture premiere festival manuscript choir"
        " theatre composer museum translation portrait playwright archive documentary curator"
        " fresco auction soprano biography screenplay violin prize"
    ),
    "transport": _words(
        "tram runway ferry carriage signal timetable motorway junction freight cyclist harbour"
        " locomotive airline terminal passenger viaduct lorry tunnel commuter platform fare"
        " airport tanker pilot toll"
    ),
    "farming": _words(
        "harvest orchard drought fertiliser irrigation herd dairy tractor wheat vineyard"
        " pesticide subsidy grain barley livestock beekeeper seed pasture cooperative"
        " slaughterhouse maize crop greenhouse fishery quota"
    ),
    "energy": _words(
        "pipeline turbine refinery grid substation colliery kilowatt drilling well generator"
        " barrel utility meter heating insulation boiler cable battery transformer shipment"
        " licence emission plant terminal outage"
    ),
    "schools": _words(
        "pupil classroom headteacher curriculum scholarship lecturer campus examination"
        " nursery tuition dormitory librarian apprentice textbook syllabus inspector playground"
        " university canteen degree faculty professor grade kindergarten enrolment"
    ),
}
NOUNS = _words(
    "agreement plan proposal report delay dispute decision review shortage campaign deadline"
    " budget project promise warning complaint failure success survey risk programme scheme"
    " strategy meeting protest strike debate rumour statement letter document figure forecast"
    " estimate target pledge rule penalty fine deal offer demand concern mistake reform crisis"
    " recovery closure expansion investigation inquiry setback breakthrough compromise"
    " timetable partnership vote majority minority neighbour resident visitor worker employer"
    " expert official adviser rival critic supporter opponent spokesman predecessor successor"
    " colleague family community generation"
)
ADJECTIVES = _words(
    "costly disputed temporary long-awaited unexpected modest ambitious controversial secret"
    " regional national foreign northern southern coastal rural urban private public"
    " independent former early late annual monthly final initial partial complete bitter"
    " cautious generous narrow broad heavy light steep gradual sudden quiet noisy ageing modern"
    " outdated hidden obvious doubtful crucial minor major joint separate unfinished abandoned"
    " popular unpopular fragile robust transparent confidential preliminary detailed vague"
    " fresh stalled renewed expensive cheap unusual familiar"
)
VERBS = _words(
    "approved rejected delayed criticised welcomed examined abandoned presented postponed"
    " defended questioned supported opposed discussed signed cancelled reopened financed halted"
    " extended reduced doubled inspected repaired purchased sold described praised ignored"
    " announced revealed withdrew confirmed denied challenged completed suspended launched"
    " improved replaced overturned documented monitored resumed blocked endorsed scrapped"
    " revised shelved backed"
)
INFINITIVES = _words(
    "finish rebuild finance inspect protect restore question sell abandon publish explain"
    " delay replace expand reduce double attract monitor overturn negotiate repair reopen close"
    " defend investigate modernise relocate privatise test simplify recruit train compensate"
    " persuade"
)
ADVERBS = _words(
    "quietly narrowly publicly repeatedly unanimously reluctantly hastily formally briefly"
    " openly initially eventually recently sharply slightly carefully jointly unexpectedly"
    " privately firmly"
)
PEOPLE = _words(
    "analysts residents engineers lawyers teachers farmers investors campaigners economists"
    " doctors drivers historians critics inspectors neighbours volunteers accountants"
    " scientists councillors fans shopkeepers diplomats tenants pensioners apprentices"
    " journalists officers planners"
)
BODIES = _words(
    "Council Board Union Association Institute Authority Agency Federation Chamber Society"
    " Trust Commission Group Alliance Foundation Company Holdings Bureau Exchange Consortium"
)
FIRST_NAMES = _words(
    "Ada Bruno Celia Dario Edith Farid Greta Hugo Irene Jonas Katya Leon Mara Nils Odette"
    " Pavel Quinn Rosa Samir Tilda Ulrich Vera Walter Xenia Yusuf Zora Amina Boris Clara"
    " Desmond Elena Felix Gwen Hamid Ingrid Jasper Kofi Lydia Milan Nora Oscar Petra Ravi"
    " Simone Tomas Ursula Viktor Wanda"
)
ROLES = (
    "chairman", "finance director", "deputy mayor", "spokeswoman", "chief engineer", "secretary",
    "local historian", "union leader", "head of research", "retired judge", "opposition member",
    "project manager", "managing director", "team doctor", "senior adviser", "founder",
)  # fmt: skip
DAYS = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = _words(
    "January February March April May June July August September October November December"
)
WIRES = ("Nordpress", "Meridian News", "Inter-Wire", "Coastal Press", "UNB", "Tellus Agency")
STOCK = (
    "according to people familiar with the matter",
    "in a statement released on {day}",
    "at a news conference on {day}",
    "speaking to reporters on {day}",
    "a spokeswoman confirmed on {day}",
    "local media reported",
    "documents seen by {wire} show",
    "as first reported by {wire}",
    "in what would be the first {noun} of its kind in more than a decade",
    "a person close to the {noun} said on condition of anonymity",
)
CLOSINGS = (
    "{org} did not immediately respond to a request for comment.",
    "{who} declined to comment on the matter.",
    "A decision is expected in the coming weeks.",
    "{org} could not be reached for comment outside of office hours.",
    "The investigation continues, police said.",
    "Talks are to resume on {day}.",
)

_ONSETS = _words("b br c d dr f g gr h k kl l m n p pr r s st t tr v w z th sh")
_VOWELS = _words("a e i o u ai ea ou ie au")
_CODAS = _words("n r l s m nd rt lk ck th x rn st")
_PLACE_ENDS = _words("ville burg stad ford holm mouth dale port wick gate minster field haven")

_SENTENCES = (
    "{np} was {verb} by {org} on {day}, {num} days after {np2} had {adv} {verb} {np2}.",
    "{who} {verb} {np} and {verb} {np2}, {stock}.",
    "{who} said that {np2} would cost {money}, or {pct} per cent more than {np}.",
    "{opener}, {people} in {place} had {adv} {verb} {np}, which {org} then {verb}.",
    "“{quote},” said {who}.",
    "“{quote}. {quote},” {who} said of {np}.",
    "{org}, which {verb} {np} in {month}, {adv} {verb} {np2}.",
    "More than {num} {people} {verb} {np} near {place}, {adv} asking {org} to {inf} {np2}.",
    "{np} and {np2} rose by {pct} per cent to {money} between {month} and {month}.",
    "The {noun} between {place} and {place} has been {adj} since {month}, when {who} {verb} {np2}.",
    "It was not clear whether {np2} could {inf} {np} without {np2}.",
    "{opener}, {np} {adv} {verb} {np2}, though {who} had hoped to {inf} it.",
    "Nobody in {place} has {adv} {verb} {np2} as {adv} as {who}, whose {noun} {verb} {np}.",
    "Of the {num} {people} asked by {org}, {pct} per cent wanted to {inf} {np}.",
    "Until {month}, {np} had to {inf} {np2} or pay {money}.",
    "{who} has led {org} since {year} and {adv} {verb} {np} there.",
    "A {adj} {noun} from {place} {verb} {np}; {org} {verb} {np2} in turn.",
    "Asked about {np}, {who} pointed to {np2} and to {num} {people} who {verb} {np2}.",
    "The {adj} {topic}, {adj} but {adj}, is to {inf} {np2} by {month}.",
    "{people} fear that {np} may {inf} {np2} if {org} does not {inf} {np2}.",
    "In {year} {np} {verb} {money}, a {noun} that {people} {adv} {verb}.",
    "Not all {people} agree: {who}, for one, {adv} {verb} {np}.",
    "{place}, a town of {num}, {verb} {np} as early as {year}.",
    "What {people} {verb} as {np} turned out to be {np2}.",
    "Where {np} once {verb} {np2}, {people} now {inf} {np}.",
    "{adv} {verb} in {month}, {np} returned {num} weeks later as {np2}.",
    "Both {place} and {place} {verb} {np}; neither {verb} {np2}.",
    "Some {num} {people}, {pct} per cent of them from {place}, {verb} {np}.",
    "With {np} {adv} {verb}, {who} turned to {np2}.",
    "Few {people} {inf} {np} without {np2}, let alone {np}.",
    "Two {people} {verb} {np}, three {verb} {np2} and the rest {adv} {verb} {np}.",
    "Its {noun}, {adj} since {month}, {verb} {np} and cost {org} {money}.",
    "Had {people} {verb} {np}, {who} argued, {np2} might not have {verb} {np}.",
    "{np} aside, {people} {verb} {np2} {adv} enough to {inf} {np}.",
    "For {who}, {np} is {adj}; for {people}, {adj} at best.",
    "{who} {adv} {verb} both {np} and {np2} during a visit to {place}.",
    "Prices of {np} fell {pct} per cent, those of {np2} {adv} doubled.",
    "When {np} {verb} {np2}, {people} called {who} instead.",
    "{place} keeps {np}, though {org} {verb} {np2} there.",
    "{num} {people} later, {np} still {verb} {np2}.",
    "Before {year} such {people} {adv} {verb} {np}, {stock}.",
    "Whoever {verb} {np} must now {inf} {np2} with {people} from {place}.",
    "{np}, {np2}, {np}: {who} {verb} them all.",
    "{org} paid {people} {money} to {inf} {np}, {stock}.",
    "{people} near {place} compared {np} with {np2} and {verb} neither.",
    "Instead of {np}, {who} {verb} {np2}, calling {people} “{adj} and {adj}”.",
    "{closing}",
)
_CLOSING_ONLY = ("{closing}",)
_LEADS = (
    "{who} on {day} {adv} {verb} {np} in {place}, {num} days before {org} was due to {inf} {np2},"
    " a move that {people} said could {inf} {np2}.",
    "{np} in {place} {verb} {np2} on {day}, as {org} tried to {inf} {np2} and {people} {verb} {np}"
    " worth {money}.",
    "{org} will {inf} {np} by {month} and {inf} {np2}, {who} said on {day}, after {num} {people}"
    " in {place} {verb} {np2}.",
    "At least {num} {people} {verb} {np} near {place} on {day} after {np2} {adv} {verb} {np2},"
    " {who} of {org} said, calling it a {adj} {noun}.",
    "{people} from {place} and {place} {adv} {verb} {np} this week, {pct} per cent more than in"
    " {year}, and {verb} {np2} that {org} had {verb} in {month}.",
    "It began with {np}, and ended on {day} with {num} {people}, {np2} and {who} in {place}, where"
    " {org} {adv} {verb} {np}.",
    "{who} has {verb} {np} worth {money}, ending {num} months of {noun} over {np2} that {adv}"
    " {verb} {people} across {place}.",
    "For {people} in {place}, {np} is no longer {adj}: since {day} {org} has {verb} {np2}, {np}"
    " and {money} of {topic} {noun}.",
)
_QUOTES = (
    "We {verb} {np} because {np2} was {adj}",
    "Nobody here wants to {inf} {np} before {month}",
    "This {noun} is {adj}, and {np2} will not {inf} it",
    "If {people} {inf} {np2}, then {np} has {verb} nothing",
    "I have {adv} {verb} {np2} for {num} years",
    "It takes {num} {people} to {inf} {np}, not {money}",
    "There is a {adj} {noun} behind {np}",
    "Our {topic} never {verb} {np2}",
)
_OPENERS = (
    "By the end of {month}", "Only {num} days earlier", "In {place} itself", "Since {month}",
    "On {day} evening", "Despite the {adj} {noun}", "Under a {adj} {noun} of {year}", "At first",
    "Across the region", "Late on {day}", "According to {org}", "For {num} weeks",
)  # fmt: skip
_PHRASES = (
    "the {adj} {topic}", "a {adj} {topic}", "the {topic} of the {adj} {noun}", "the {noun}",
    "the {adj} {noun} over the {topic}", "a {noun} about the {adj} {topic}", "every {adj} {topic}",
    "the {topic} and its {adj} {noun}", "{place}’s {adj} {topic}", "the {topic} {noun}",
    "a {topic} from {place}", "that {noun}", "its own {topic}", "another {adj} {noun}",
)  # fmt: skip
_HEADLINES = (
    "{org} to {inf} {adj} {topic}",
    "{place}: {adj} {topic} {verb} after {noun}",
    "{num} {people} and a {adj} {noun}: what {place} {verb}",
    "{who} {verb} {topic} {noun} in {place}",
    "Why {people} {verb} the {adj} {topic}",
)

_VOCABULARY = sorted({*NOUNS, *ADJECTIVES, *VERBS, *ADVERBS, *PEOPLE, *sum(TOPICS.values(), ())})
_SLOT = re.compile(r"\{(\w+)\}")
_SENTENCE_END = re.compile(r"(?<=[.!?”])\s+(?=[“A-Z0-9])")


def _name(chance: random.Random, syllables: int) -> str:
    return (
        "".join(chance.choice(_ONSETS) + chance.choice(_VOWELS) for _ in range(syllables - 1))
        + chance.choice(_ONSETS)
        + chance.choice(_VOWELS)
        + chance.choice(_CODAS)
    )


def surname(chance: random.Random) -> str:
    """An invented surname."""
    return _name(chance, chance.choice((1, 2, 2))).capitalize()


def place_name(chance: random.Random) -> str:
    """An invented place."""
    return (_name(chance, 1) + chance.choice(_PLACE_ENDS)).capitalize()


class _Story:
    """The cast of one story, and sentences about it."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._topic = TOPICS[chance.choice(sorted(TOPICS))]
        self.places = [place_name(chance) for _ in range(chance.randint(2, 4))]
        self._bodies = [
            f"the {place_name(chance)} {chance.choice(self._topic).capitalize()}"
            f" {chance.choice(BODIES)}"
            for _ in range(chance.randint(2, 3))
        ]
        self._people = [
            (f"{chance.choice(FIRST_NAMES)} {surname(chance)}", chance.choice(ROLES))
            for _ in range(chance.randint(2, 5))
        ]
        self._met: set[str] = set()

    def _who(self) -> str:
        name, role = self._chance.choice(self._people)
        if name in self._met:
            return name.split()[1]
        self._met.add(name)
        return f"{name}, {role} of {self._chance.choice(self._bodies)}"

    def _slot(self, kind: str) -> str:  # noqa: PLR0911 - one line for each kind of slot
        chance = self._chance
        words = {
            "verb": VERBS, "inf": INFINITIVES, "adv": ADVERBS, "adj": ADJECTIVES, "noun": NOUNS,
            "topic": self._topic, "people": PEOPLE, "day": DAYS, "month": MONTHS,
            "place": self.places, "org": self._bodies, "wire": WIRES,
        }.get(kind)  # fmt: skip
        if words is not None:
            return chance.choice(words)
        if kind == "who":
            return self._who()
        if kind in ("np", "np2"):
            return self.fill(chance.choice(_PHRASES))
        if kind == "quote":
            return self.fill(chance.choice(_QUOTES))
        if kind == "stock":
            return self.fill(chance.choice(STOCK))
        if kind == "opener":
            return self.fill(chance.choice(_OPENERS))
        if kind == "closing":
            return self.fill(chance.choice(CLOSINGS))
        return number(chance, kind)

    def fill(self, template: str) -> str:
        """A template with each slot filled anew."""
        return _SLOT.sub(lambda slot: self._slot(slot[1]), template)

    def sentence(self, templates: Sequence[str] = _SENTENCES) -> str:
        """A sentence, capitalised."""
        written = self.fill(self._chance.choice(templates))
        return written[0].upper() + written[1:]

    def paragraph(self, sentences: int) -> str:
        """A paragraph of so many sentences."""
        return " ".join(self.sentence() for _ in range(sentences))


def number(chance: random.Random, kind: str) -> str:
    """A number as news writes it: ``num``, ``pct``, ``money`` or ``year``."""
    if kind == "pct":
        return f"{chance.randint(1, 94)}.{chance.randint(0, 9)}"
    if kind == "money":
        return f"€{chance.randint(2, 990)} {chance.choice(('million', 'billion', 'thousand'))}"
    if kind == "year":
        return str(chance.randint(1950, 2025))
    return f"{round(10 ** chance.uniform(0.5, 4)):,}"


def _count(text: str) -> int:
    return len(text.split())


def write_story(chance: random.Random, words: int, *, dateline: bool = True) -> Text:
    """An article of at least so many words, its first paragraph of 25 to 60."""
    story = _Story(chance)
    lead = story.sentence(_LEADS)
    while not 25 <= _count(lead) <= 54:
        lead = story.sentence(_LEADS)
    if dateline:
        lead = (
            f"{story.places[0].upper()}, {chance.choice(MONTHS)} {chance.randint(1, 28)}"
            f" ({chance.choice(WIRES)}) – {lead}"
        )
    paragraphs = [lead]
    written = _count(lead)
    while written < words or len(paragraphs) < 3:
        # The last paragraph is short where little is missing.
        paragraphs.append(story.paragraph(chance.randint(1, 4) if words - written > 60 else 1))
        written += _count(paragraphs[-1])
    return Text(_headline(story, chance), "\n\n".join(paragraphs))


def _headline(story: _Story, chance: random.Random) -> str:
    return story.sentence(_HEADLINES)


def base_articles(count: int, seed: int = 1) -> list[Text]:
    """Distinct articles of 80 to some 900 words; the short ones are more, as in the news."""
    chance = random.Random(seed)
    return [
        write_story(chance, round(80 * 11 ** chance.random()), dateline=chance.random() < 0.7)
        for _ in range(count)
    ]


# ── what becomes of an article ──────────────────────────────────────────────────────────────────


def _sentences(body: str) -> list[str]:
    """The sentences of a body, each with the white space that follows it."""
    parts = re.split(r"((?<=[.!?”])\s+(?=[“A-Z0-9]))", body)
    return ["".join(parts[place : place + 2]) for place in range(0, len(parts), 2)]


def trimmed(body: str, share: float) -> str:
    """The first sentences, up to a share of the words; one at least."""
    kept: list[str] = []
    words = 0
    limit = share * _count(body)
    for sentence in _sentences(body):
        if kept and words + _count(sentence) > limit:
            break
        kept.append(sentence)
        words += _count(sentence)
    return "".join(kept).strip()


def _replaced(body: str, places: set[int], chance: random.Random) -> str:
    tokens = re.split(r"(\s+)", body)
    for place in places:
        tokens[2 * place] = re.sub(
            r"\w[\w.,’-]*\w|\w", chance.choice(_VOCABULARY), tokens[2 * place], count=1
        )
    return "".join(tokens)


def words_replaced(body: str, share: float, chance: random.Random) -> str:
    """A share of the words replaced by others, exactly that share."""
    words = _count(body)
    return _replaced(body, set(chance.sample(range(words), max(1, round(share * words)))), chance)


def words_replaced_by_chance(body: str, share: float, chance: random.Random) -> str:
    """Each word replaced with the same probability, one at least."""
    words = _count(body)
    places = {place for place in range(words) if chance.random() < share}
    return _replaced(body, places or {chance.randrange(words)}, chance)


def _cut_off(body: str, chance: random.Random) -> str:
    tokens = re.split(r"(\s+)", body)
    words = chance.randint(3 * _count(body) // 10, 7 * _count(body) // 10)
    while tokens[2 * words - 2][-1] in ".!?”,;":  # not the end of a sentence
        words -= 1
    more = chance.choice((" … Read more", "… Read more", " [...]", "… Continue reading"))
    return "".join(tokens[: 2 * words - 1]) + more


def _credited(body: str, chance: random.Random) -> str:
    wire = chance.choice(WIRES)
    reporter, editor = (f"{chance.choice(FIRST_NAMES)} {surname(chance)}" for _ in range(2))
    return chance.choice(
        (
            f"({wire}) – {body}",
            f"{body}\n\n(Reporting by {reporter}; editing by {editor})",
            f"By {reporter}, {wire}\n\n{body}",
            f"{body}\n\nThis story was first published by {wire} and is used here under licence.",
            f"{body} – {wire}",
            f"{body}\n\nCopyright {chance.randint(2019, 2025)} {wire}. All rights reserved. This"
            " material may not be published, broadcast, rewritten or redistributed.",
        )
    )


def _updated(body: str, chance: random.Random) -> str:
    clock = f"{chance.randint(0, 23):02}:{chance.randint(0, 59):02}"
    day = f"{chance.randint(1, 28)} {chance.choice(MONTHS)}"
    return chance.choice(
        (
            f"Updated {day}, {clock}\n\n{body}",
            f"{body}\n\nThis article was updated on {day} at {clock} to add a comment from the"
            f" {chance.choice(NOUNS)} {chance.choice(BODIES).lower()}.",
            f"(Adds {chance.choice(NOUNS)}, {chance.choice(NOUNS)} in paragraph"
            f" {chance.randint(2, 9)})\n\n{body}",
            f"UPDATE {clock} – {_Story(chance).sentence(_CLOSING_ONLY)}\n\n{body}",
        )
    )


def _with_paragraph(body: str, chance: random.Random) -> str:
    first, _, rest = body.partition("\n\n")
    return f"{first}\n\n{_Story(chance).sentence(_LEADS)}\n\n{rest}"


def _teaser(body: str, chance: random.Random) -> str:
    first = body.split("\n\n", maxsplit=1)[0]
    if " – " in first and chance.random() < 0.5:
        first = first.split(" – ", 1)[1]
    return first


def _reordered(body: str, chance: random.Random) -> str:
    paragraphs = body.split("\n\n")
    order = list(paragraphs)
    while order == paragraphs:
        chance.shuffle(order)
    return "\n\n".join(order)


def _comma_corrected(body: str, chance: random.Random) -> str:
    commas = [place.start() for place in re.finditer(r", ", body)]
    if not commas:
        return body.replace(" and ", ", and ", 1)
    place = chance.choice(commas)
    return body[:place] + body[place + 1 :]


def _figure_corrected(body: str, chance: random.Random) -> str:
    figures = list(re.finditer(r"\b\d[\d,]*\b", body))
    if not figures:
        return body + " Nobody was hurt."
    figure = chance.choice(figures)
    return body[: figure.start()] + str(chance.randint(3, 9_999)) + body[figure.end() :]


_NOTICE_SENTENCES = (
    "Sign up to our morning letter and get the stories that matter before breakfast.",
    "Subscribers can listen to this article and share it with up to five friends a month.",
    "Do you know more about this? Write to our newsroom in confidence.",
    "Comments on this article are open until midnight and are read before they appear.",
    "Follow us on all channels for the latest from the region, the country and the world.",
    "Our journalism is paid for by readers; support it with a membership from two euros a week.",
    "Download our app to be told of breaking news on your telephone, free of charge.",
    "Some links on this page earn us a commission, which does not influence what we write.",
)


def _noticed(body: str, chance: random.Random) -> str:
    outlet = random.Random(chance.randrange(6))  # each outlet has one notice
    return body + "\n\n" + " ".join(outlet.sample(_NOTICE_SENTENCES, outlet.randint(2, 4)))


KINDS: dict[str, Callable[[str, random.Random], str]] = {
    "wire credit": _credited,
    "update line": _updated,
    "paragraph": _with_paragraph,
    "retitled": lambda body, chance: body,
    "comma": _comma_corrected,
    "figure": _figure_corrected,
    "notice": _noticed,
    "3 % exact": lambda body, chance: words_replaced(body, 0.03, chance),
    "3 % chance": lambda body, chance: words_replaced_by_chance(body, 0.03, chance),
    "10 % exact": lambda body, chance: words_replaced(body, 0.10, chance),
    "10 % chance": lambda body, chance: words_replaced_by_chance(body, 0.10, chance),
    "trimmed 80 %": lambda body, chance: trimmed(body, 0.8),
    "trimmed 50 %": lambda body, chance: trimmed(body, 0.5),
    "read more": _cut_off,
    "teaser": _teaser,
    "reordered": _reordered,
}
"""What becomes of one article. ``paragraph`` (a new one after the first), ``figure`` (a number
corrected) and ``notice`` (an outlet's own lines below the story) stand against rules that would
take them for other stories."""
GLUED = "glued"


def variants_of(bases: Sequence[Text], seed: int = 2) -> Iterator[Variant]:
    """Each base article once in every kind. Half keep its headline; ``retitled`` never does."""
    for place, base in enumerate(bases):
        for kind, change in KINDS.items():
            chance = random.Random(f"{seed} {place} {kind}")
            title = base.title
            if kind == "retitled" or chance.random() < 0.5:
                title = _headline(_Story(chance), chance)
            yield Variant(kind, (place,), Text(title, change(base.body, chance)))
        chance = random.Random(f"{seed} {place} {GLUED}")
        other = chance.choice([one for one in range(len(bases)) if one != place])
        glued = f"{base.body}\n\n{bases[other].body}"
        yield Variant(GLUED, (place, other), Text(base.title, glued))


# ── what is alike and no copy ───────────────────────────────────────────────────────────────────

_DISCLAIMER_SENTENCES = (
    "The information on this page is provided for general purposes only and does not constitute"
    " financial, legal or medical advice of any kind.",
    "Readers should seek the counsel of a qualified professional before they act on anything that"
    " is published here.",
    "The views expressed in contributed articles are those of their authors and do not necessarily"
    " reflect the position of the publisher or its staff.",
    "While every effort is made to keep our pages accurate and up to date, no warranty is given,"
    " express or implied, as to completeness or fitness for a purpose.",
    "Neither the publisher nor its partners accept liability for losses that arise from the use of"
    " this service, whether direct or indirect.",
    "Past performance is no guide to future results, and the value of investments may fall as well"
    " as rise.",
    "Trademarks and logos that appear on this site remain the property of their respective owners.",
    "Reproduction in whole or in part without written permission of the editor is prohibited, save"
    " for personal and non-commercial use.",
    "This release contains forward-looking statements that are subject to risks and uncertainties,"
    " many of which lie beyond the control of the company.",
    "Actual results may differ materially from those anticipated, and the company undertakes no"
    " obligation to revise these statements to reflect later events.",
    "By continuing to browse this website you agree to the use of cookies and similar technologies"
    " for analytics, personalised content and advertising.",
    "You may withdraw your consent at any time under the heading privacy at the foot of each page.",
    "Quotations are delayed by at least fifteen minutes and are supplied by third parties without"
    " verification.",
    "Links to other websites are offered as a convenience, and their inclusion implies no"
    " endorsement of what is found there.",
    "Complaints about editorial content may be addressed to our readers’ representative, who is"
    " bound by the national press code.",
    "This article may have been translated by a machine, and the original language version shall"
    " prevail in case of doubt.",
    "Please allow up to five working days for a reply, as our small team answers each letter by"
    " hand.",
)


_NOTICE_TITLE = "Disclaimer"


def disclaimer(chance: random.Random, words: int) -> str:
    """A disclaimer of about so many words."""
    sentences = list(_DISCLAIMER_SENTENCES)
    chance.shuffle(sentences)
    kept: list[str] = []
    while sentences and _count(" ".join(kept)) < words - 8:
        kept.append(sentences.pop())
    return " ".join(kept)


def _disclaimed(chance: random.Random, size: int, words: int, *, page: bool) -> Iterator[Text]:
    notice = disclaimer(chance, words)
    above = chance.random() < 0.25
    if page:
        yield Text(_NOTICE_TITLE, notice)
    for _ in range(size - page):
        story = write_story(chance, chance.randint(60, 300), dateline=False)
        parts = [notice, story.body] if above else [story.body, notice]
        yield Text(story.title, "\n\n".join(parts))


_SHOW_WORDS = _words(
    "Harbour Kitchen Garden Detective Island Railway Wild Winter Secret Mountain Quiz Family"
    " Doctor Night Coast Village Antique River Space Horse Ballroom Bakery Lighthouse Forest"
    " Castle Market"
)
_SHOW_ENDS = (
    "Stories", "Live", "Tonight", "Uncovered", "with {name}", "Special", "Revisited", "Challenge",
    "on Tour", "Diaries", "Rescue", "Confidential", "for Beginners",
)  # fmt: skip


def _show(chance: random.Random) -> str:
    end = chance.choice(_SHOW_ENDS).format(name=f"{chance.choice(FIRST_NAMES)} {surname(chance)}")
    return f"{chance.choice(_SHOW_WORDS)} {chance.choice(_SHOW_WORDS)} {end}"


def _guide(chance: random.Random, place: str) -> str:
    lines = [
        "Here is our pick of what to watch and hear tonight, with all times local. Programmes may"
        " change at short notice; see the channels’ own pages for subtitles and repeats."
    ]
    hour, minute = 18, 0
    for channel in ("Channel One", "Channel Two", "City Television", "Radio Culture", "Film Plus"):
        for _ in range(3):
            minute += chance.choice((15, 20, 25, 30, 45, 50, 55))
            hour, minute = (hour + minute // 60) % 24, minute % 60
            episodes = chance.choice((6, 8, 10, 12, 24))
            lines.append(
                f"{channel}, {hour}.{minute:02}: {_show(chance)}. Episode"
                f" {chance.randint(1, episodes)} of {episodes}."
                f" {chance.choice(('New series', 'Repeat'))}."
            )
        hour, minute = 18, 0
    lines.append("Films are rated from one star to five by our reviewers. Listings by Meridian.")
    return "\n\n".join(lines)


_SKIES = (
    "sunny spells", "light rain", "heavy showers", "thick cloud", "patchy fog", "clear skies",
    "sleet", "thunderstorms", "drizzle", "broken cloud", "snow flurries", "haze",
)  # fmt: skip
_WINDS = _words("northerly southerly easterly westerly north-westerly south-easterly variable")


def _weather(chance: random.Random, place: str) -> str:
    def degrees() -> str:
        return str(chance.randint(-8, 34))

    return (
        f"Weather forecast for {place} and the surrounding area, issued by the regional office at"
        f" {chance.randint(4, 9)} am. Today will begin with {chance.choice(_SKIES)}, with"
        f" {chance.choice(_SKIES)} expected by the afternoon. Highest temperature {degrees()}"
        f" degrees, lowest {degrees()} degrees. Winds will be {chance.choice(_WINDS)} at"
        f" {chance.randint(5, 70)} kilometres an hour, with gusts of up to"
        f" {chance.randint(30, 120)} on high ground.\n\nTonight temperatures will fall to"
        f" {degrees()} degrees under {chance.choice(_SKIES)}. The probability of precipitation is"
        f" {chance.randint(0, 100)} per cent. Tomorrow is expected to bring"
        f" {chance.choice(_SKIES)} and a high of {degrees()} degrees. Sunrise is at"
        f" {chance.randint(4, 8)}.{chance.randint(10, 59)} and sunset at"
        f" {chance.randint(16, 21)}.{chance.randint(10, 59)}. The air quality index stands at"
        f" {chance.randint(10, 180)}. The next bulletin will be issued at noon; warnings are"
        " published on the office’s website as soon as they are known."
    )


_CURRENCIES = _words("dollar pound yen franc krona zloty rupee peso real rand shekel lira won baht")


def _rates(chance: random.Random, place: str) -> str:
    lines = [
        f"Exchange rates and prices at the close of trading in {place}, as published by the central"
        " bank. Rates are indicative and are given in units of the currency for one euro."
    ]
    for currency in _CURRENCIES:
        buying = chance.uniform(0.5, 160)
        lines.append(
            f"{currency.capitalize()}: buying {buying:.4f}, selling"
            f" {buying * 1.02:.4f}, change on the day {chance.uniform(-2, 2):+.2f} per cent."
        )
    lines.append(
        f"Gold was fixed at {chance.randint(1500, 3200)}.{chance.randint(10, 99)} an ounce and"
        f" crude oil at {chance.randint(40, 120)}.{chance.randint(10, 99)} a barrel. The main"
        f" index closed at {chance.randint(900, 18000):,} points, with"
        f" {chance.randint(10, 400)} shares higher and {chance.randint(10, 400)} lower."
    )
    return "\n".join(lines)


_SIGNS = _words(
    "Aries Taurus Gemini Cancer Leo Virgo Libra Scorpio Sagittarius Capricorn Aquarius Pisces"
)
_FORTUNES = (
    "A letter brings you good news from {place}", "Do not lend money before {day}",
    "Someone at work notices your {noun}", "Your patience with a {adj} {noun} pays off",
    "An old friend asks for help with a {noun}", "Rest more, and leave the {adj} {noun} to others",
    "A {adj} journey towards {place} begins", "Speak openly about the {noun} on {day}",
    "Love surprises you in a {adj} place", "Check every {noun} before you sign",
    "The moon favours a {adj} {noun}", "Avoid {people} this {day}",
)  # fmt: skip


def _horoscope(chance: random.Random, place: str) -> str:
    story = _Story(chance)
    lines = [
        "Your stars for today, read by our astrologer. What do the planets hold for your sign?"
    ]
    for sign in _SIGNS:
        first, second = chance.sample(_FORTUNES, 2)
        lines.append(
            f"{sign}: {story.fill(first)}. {story.fill(second)}. Lucky number:"
            f" {chance.randint(1, 99)}."
        )
    lines.append("For a personal reading call our line; calls are charged at the local rate.")
    return "\n\n".join(lines)


def _lottery(chance: random.Random, place: str) -> str:
    drawn = ", ".join(str(ball) for ball in sorted(chance.sample(range(1, 50), 6)))
    return (
        f"The winning numbers in {chance.choice(DAYS)}’s national lottery draw were {drawn}. The"
        f" bonus ball was {chance.randint(1, 49)}. The jackpot of {number(chance, 'money')} was"
        f" {chance.choice(('won by one ticket', 'not won and rolls over'))} this time.\n\n"
        f"{number(chance, 'num')} players matched five numbers and the bonus ball and receive"
        f" {chance.randint(10_000, 90_000):,} each. {number(chance, 'num')} players matched five"
        f" numbers and receive {chance.randint(500, 5_000):,} each. {number(chance, 'num')} players"
        f" matched four numbers and receive {chance.randint(50, 200)} each. Winners have"
        " 180 days to claim their prize. Tickets for the next draw are on sale until half past"
        " seven on the evening of the draw at all agencies and online. Players must be eighteen or"
        " over. Please play responsibly."
    )


def _earnings(chance: random.Random, place: str) -> str:
    def value() -> str:
        return f"{chance.randint(1, 900)}.{chance.randint(0, 9)}"

    company = f"{surname(chance)} {chance.choice(BODIES)}"
    return (
        f"{company} reported results for the quarter to the end of {chance.choice(MONTHS)}. Net"
        f" profit {value()} million against {value()} million a year earlier. Revenue {value()}"
        f" million against {value()} million. Earnings per share {value()} cents against {value()}"
        f" cents. Average shares outstanding {value()} million. Dividend {value()} cents, payable"
        f" {chance.choice(MONTHS)} {chance.randint(1, 28)} to holders of record"
        f" {chance.choice(MONTHS)} {chance.randint(1, 28)}. Note: the year-earlier figures are"
        " restated for discontinued operations and include an extraordinary item."
    )


def _water(chance: random.Random, place: str) -> str:
    level = chance.randint(40, 900)
    return (
        f"The water level of the river at {place} stood at {level} centimetres this morning, the"
        f" hydrological service said, {chance.randint(1, 60)} centimetres"
        f" {chance.choice(('more', 'less'))} than the day before. The discharge was"
        f" {chance.randint(20, 3_000)} cubic metres a second and the temperature of the water"
        f" {chance.randint(1, 25)} degrees.\n\nThe service measures the levels of all larger rivers"
        " every quarter of an hour and publishes them on its website, together with a forecast for"
        " the next four days. Those who live close to the river are asked to keep cellars clear and"
        " to watch for warnings by radio and telephone. Walkers should stay off the lower paths,"
        " which may be under water even where the banks look dry. Boats may use the navigable"
        " channel as long as the mark at the lock is not reached; the lock keeper can be reached at"
        " any hour. Bathing in the river is forbidden throughout the year."
    )


FORMS: dict[str, tuple[Callable[[random.Random, str], str], str, str]] = {
    "programme guide": (_guide, "What to watch tonight", "On television in {place}"),
    "weather": (_weather, "Weather forecast", "The weather in {place}"),
    "rates": (_rates, "Exchange rates at the close", "{place}: rates at the close"),
    "horoscope": (_horoscope, "Your daily horoscope", "Stars over {place}"),
    "lottery": (_lottery, "Lottery results", "Lottery: luck in {place}"),
    "water level": (_water, "Water level", "River at {place}: the level today"),
    "earnings": (_earnings, "Quarterly results", "{place} firm reports results"),
}


def _forms(kind: str, chance: random.Random, size: int, *, one_title: bool) -> Iterator[Text]:
    """A form filled in anew: under one title for one place, as day by day, or for many places."""
    fill, shared, own = FORMS[kind]
    place = place_name(chance)
    for _ in range(size):
        place = place if one_title else place_name(chance)
        yield Text(shared if one_title else own.format(place=place), fill(chance, place))


def _liveblogs(chance: random.Random, size: int, *, one_title: bool) -> Iterator[Text]:
    intro = (
        f"Good morning and welcome to our live coverage. I am {chance.choice(FIRST_NAMES)}"
        f" {surname(chance)} and I will be with you until the evening, when my colleague"
        f" {chance.choice(FIRST_NAMES)} {surname(chance)} takes over. Send us your questions,"
        " pictures and videos by mail or in the comments below, and we will answer as many as we"
        " can. All times are local. The page refreshes by itself; the newest entry stands on top."
        " Here is what we know so far, and what to expect from the day ahead."
    )
    for _ in range(size):
        story = write_story(chance, chance.randint(60, 300), dateline=False)
        yield Text("Live: the latest" if one_title else story.title, f"{intro}\n\n{story.body}")


def _followups(chance: random.Random, size: int, *, one_title: bool) -> Iterator[Text]:
    """Stories of several days on one matter, which all end on the same background."""
    background = _Story(chance)
    told = "\n\n".join(background.paragraph(2) for _ in range(2))
    for _ in range(size):
        news = write_story(chance, chance.randint(120, 300), dateline=False)
        yield Text(news.title, f"{news.body}\n\n{told}")


def families(seed: int = 3) -> Iterator[Member]:
    """Texts in families, each of every size in ``FAMILY_SIZES``, and of several makes."""
    for size in FAMILY_SIZES:
        for words in (40, 90, 140, 190, 250):
            for kind, page in (("disclaimer", False), ("notice page", True)):
                name = f"{kind} {words} × {size}"
                texts = _disclaimed(random.Random(f"{seed} {name}"), size, words, page=page)
                for text in texts:
                    yield Member(kind, name, text, bare=text.title == _NOTICE_TITLE)
        for one_title in (True, False):
            for kind in (*FORMS, "liveblog", "follow-up"):
                name = f"{kind} × {size}, {'one title' if one_title else 'own titles'}"
                chance = random.Random(f"{seed} {name}")
                if kind in FORMS:
                    texts = _forms(kind, chance, size, one_title=one_title)
                else:
                    make = _liveblogs if kind == "liveblog" else _followups
                    texts = make(chance, size, one_title=one_title)
                yield from (Member(kind, name, text) for text in texts)
