"""What an article is about: ``classify_topics``, on snippets made up for these tests."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transforms.topics import (
    REPORTED_SCORE,
    UNCLASSIFIED,
    TopicModel,
    build_lexicon,
    classify_topics,
    normalise_word,
    parse_terms,
    slug_of,
)

MODEL = TopicModel.load()
DISASTER = "disaster-accident-and-emergency-incident"

# Per concept: (title, body) as a news desk might write them. Invented, every one.
SNIPPETS = {
    "arts-culture-entertainment-and-media": [
        (
            "Small island drama takes top prize at lagoon film festival",
            "A first-time director who shot her movie on a fishing boat won the jury's main award"
            " on Sunday. The leading actor, a retired ferryman, had never stood before a camera.",
        ),
        (
            "Folk trio return with album written in a lighthouse",
            "The singers spent a winter recording twelve songs with a borrowed piano. A tour of "
            "small venues follows in May.",
        ),
        (
            "Regional daily to stop printing after 140 years",
            "Journalists at the newspaper were told on Tuesday that it will be published online "
            "only. The editor said readers had moved to their phones.",
        ),
        (
            "Lost portrait goes on show at city museum",
            "The painting, found behind a wardrobe, is the centrepiece of an exhibition on the "
            "forgotten women of the Vell school. Curators spent a year restoring it.",
        ),
        (
            "Novelist Ada Quill on memory, mothers and the long second act",
            "Her third book moves between two centuries. She says that poetry taught her to cut, "
            "and that fiction taught her to wait.",
        ),
    ],
    "conflict-war-and-peace": [
        (
            "Shelling resumes along the Orra river hours after truce",
            "Artillery fire hit three villages overnight, residents said, as each army blamed the"
            " other for breaking the ceasefire. At least nine soldiers were killed.",
        ),
        (
            "Spy chiefs of rival neighbours meet over troops on the border",
            "The heads of intelligence of both states held talks for the first time in six years. "
            "Damar wants the full withdrawal of foreign forces from its north, where militias "
            "backed by its neighbour hold two towns.",
        ),
        (
            "Leader of jihadist group killed in raid, premier says",
            "Security forces shot dead the commander, one of the region's most wanted militants, "
            "in an operation backed by coalition aircraft.",
        ),
        (
            "Drones fired by militia strike port city",
            "An armed group allied with the regime claimed the attack, saying it would go on "
            "until the bombardment of the enclave ends. Air defences shot down two more.",
        ),
        (
            "Rebels lay down weapons as peace accord takes hold",
            "The last guerrilla column handed its rifles to observers on Friday, ending a civil "
            "war of nineteen years. Former fighters will live in camps under peacekeepers' guard.",
        ),
    ],
    "crime-law-and-justice": [
        (
            "Man jailed for string of chapel lead thefts",
            "A judge sentenced him to four years in prison after he pleaded guilty to eleven "
            "burglaries. Police traced him through a scrapyard's cameras.",
        ),
        (
            "Appeal court overturns ferry ticket fraud conviction",
            "Three judges ruled that the jury had been misdirected. Prosecutors have two weeks to"
            " ask for a retrial.",
        ),
        (
            "Detectives open murder inquiry after body found in canal",
            "Officers arrested a suspect aged 31 on Thursday and searched a flat nearby.",
        ),
        (
            "Customs seize cocaine hidden in crates of tiles",
            "Investigators believe a smuggling gang had bribed two harbour guards. Both were "
            "charged.",
        ),
        (
            "Tenants sue over listening devices in hallways",
            "The lawsuit, filed in the district court, says the recordings broke the law. Lawyers"
            " for the landlord deny the allegations.",
        ),
    ],
    "disaster-accident-and-emergency-incident": [
        (
            "Quake of magnitude 6.4 shakes mountain province",
            "Rescuers dug through rubble by hand after dozens of houses collapsed. The death toll"
            " rose to 41 by nightfall, and aftershocks kept survivors in tents.",
        ),
        (
            "Ferry with 90 aboard sinks off reef",
            "Coastguard boats pulled 71 people from the water; the rest are missing. Passengers "
            "said the vessel capsized within minutes.",
        ),
        (
            "Blaze guts textile market",
            "Firefighters took nine hours to put out the flames. Two people were injured by smoke"
            " and the roof is in danger of collapse.",
        ),
        (
            "Floods cut off valley towns",
            "Helicopters rescued families from rooftops after the river burst its banks. "
            "Thousands were evacuated and a bridge was swept away.",
        ),
        (
            "Night express derails near Halden, killing four",
            "Emergency crews worked to free people trapped in two carriages. Investigators are "
            "looking at a broken rail.",
        ),
    ],
    "economy-business-and-finance": [
        (
            "Central bank holds rates as inflation eases",
            "Consumer prices rose 3.1% in the year to June, the least since the spring. Economists "
            "expect a first cut in the autumn.",
        ),
        (
            "Toolmaker Brandt lifts profit forecast",
            "Shares rose 6% after the company said third-quarter revenue had beaten analysts' "
            "estimates, helped by orders from carmakers.",
        ),
        (
            "Grocer agrees to buy rival for $2.4bn",
            "The takeover would make it the country's second-largest supermarket chain. Regulators "
            "have yet to approve the deal.",
        ),
        (
            "Oil slips below $70 as producers raise output",
            "Crude futures fell for a fourth day. Traders doubt that demand will keep up.",
        ),
        (
            "Family brewery files for bankruptcy after costs surge",
            "Creditors are owed 18 million euros. The owner blames the price of energy and weak "
            "sales.",
        ),
    ],
    "education": [
        (
            "Pupils back in class as rural schools reopen",
            "Teachers greeted children in forty primary schools shut since the storm. Lessons "
            "will run on Saturdays until the lost weeks are made up.",
        ),
        (
            "University drops entrance exam for adult students",
            "Applicants over 25 will instead be judged on coursework. The college says the test "
            "kept out good candidates.",
        ),
        (
            "Ministry rewrites maths curriculum",
            "Textbooks will change from next term. Headteachers welcomed the plan but asked for "
            "more training.",
        ),
        (
            "Student debt passes record as tuition fees climb",
            "Graduates now leave with twice what their parents owed, a report on higher education"
            " says.",
        ),
        (
            "Village kindergarten wins reprieve",
            "Parents had protested against the closing of the nursery school, which teaches "
            "nineteen children.",
        ),
    ],
    "environment": [
        (
            "Beavers return to marsh after two centuries",
            "Conservationists released three pairs into the nature reserve on Monday. Their dams "
            "should help the wetland's other wildlife.",
        ),
        (
            "Emissions of methane rise again, survey finds",
            "Greenhouse gases from landfill have climbed for a fifth year, the environment agency"
            " said, putting climate targets at risk.",
        ),
        (
            "Plastic chokes nesting beaches of rare turtle",
            "Volunteers cleared six tonnes of waste. The species is endangered and breeds on two "
            "islands only.",
        ),
        (
            "Loggers leave last old forest of the south",
            "The state will protect 9,000 hectares of woodland that is home to wolves and owls. "
            "Deforestation had halved it since 1980.",
        ),
        (
            "River runs red as dye works breaks pollution rules",
            "Toxic waste killed fish for eleven miles downstream, ecologists say.",
        ),
    ],
    "health": [
        (
            "Measles cases double as vaccination slips",
            "Doctors urged parents to have children immunised. Two patients are in intensive care.",
        ),
        (
            "Hospital waits grow to nine months for hip surgery",
            "Surgeons say that beds, not staff, are the shortage. The health service promised new"
            " wards.",
        ),
        (
            "Pill halves migraine days in trial",
            "Patients who took the drug had fewer symptoms and mild side effects, neurologists "
            "report.",
        ),
        (
            "Dengue spreads to the highlands",
            "The health ministry has recorded 400 infections of the virus. Clinics are short of "
            "blood.",
        ),
        (
            "More young men seek help for depression",
            "Therapists welcome the change but warn that mental health clinics cannot keep up.",
        ),
    ],
    "human-interest": [
        (
            "Couple, both 101, celebrate 80th wedding anniversary",
            "They met at a dance and have not spent a birthday apart. The secret, she says, is "
            "cake.",
        ),
        (
            "Lost dog walks 60 miles home",
            "Biscuit the terrier turned up on the doorstep eleven days after vanishing on a "
            "picnic. Her owner burst into tears.",
        ),
        (
            "Baker sets world record for longest pretzel",
            "Guinness World Records confirmed the feat. Neighbours ate the evidence.",
        ),
        (
            "Crown prince to marry nurse he met in a lift",
            "The palace announced the royal wedding on Friday. The bride said she had taken him "
            "for a plumber.",
        ),
        (
            "Stranger returns lottery ticket worth a fortune",
            "The winner's wife called the act of kindness a miracle. They gave him half the "
            "jackpot.",
        ),
    ],
    "labour": [
        (
            "Dockers walk out over night shifts",
            "The union said 2,000 workers had joined the strike and pickets would stay until "
            "employers agree to talk about pay.",
        ),
        (
            "Minimum wage to rise by a tenth",
            "Unions welcomed the increase; employers warned of job cuts.",
        ),
        (
            "Jobless rate falls to 4.2%",
            "Unemployment is at its lowest for a decade as firms keep hiring, but wages lag.",
        ),
        (
            "Couriers win right to sick pay",
            "A tribunal found that the gig workers are employees. Their union called it a "
            "landmark for working conditions.",
        ),
        (
            "Steelworks to shed 900 jobs",
            "Staff were told of the redundancies at a shift change. The union is preparing a "
            "ballot for industrial action over the layoffs.",
        ),
    ],
    "lifestyle-and-leisure": [
        (
            "Plum tart, and what to do with the leftovers",
            "This recipe asks for ripe fruit, a hot oven and patience. Serve with cream; it "
            "tastes better at breakfast.",
        ),
        (
            "Three days in the salt towns: where to sleep and eat",
            "The best hotels are by the old harbour. Tourists come for the beach, but the "
            "restaurants are the reason to travel.",
        ),
        (
            "How to prune roses without fear",
            "Gardeners fuss too much about the cut. Wait for a dry weekend, and your garden will "
            "forgive you.",
        ),
        (
            "Board games are back, and cafes love them",
            "Players pay by the hour, order coffee and stay for a second puzzle. It is a hobby "
            "with cake.",
        ),
        (
            "Small flat, big sofa: a decorator's tips",
            "Pale wallpaper and low furniture make a living room look wider. Keep the lamps warm "
            "and the kitchen in view.",
        ),
    ],
    "politics": [
        (
            "Opposition wins by-election in coastal seat",
            "The candidate took 52 per cent of the vote. The prime minister called the result a "
            "warning from voters.",
        ),
        (
            "Foreign ministers agree to reopen embassies",
            "Diplomats from the two capitals signed an accord on normalising relations after "
            "bilateral talks. Ambassadors return next month.",
        ),
        (
            "Senate blocks budget after night of debate",
            "Lawmakers rejected the bill by three votes, leaving the government without a "
            "majority. The president may veto a shorter version.",
        ),
        (
            "Union extends sanctions on Verrin over treaty breach",
            "The bloc's leaders met at a summit in the capital. A spokesman for the foreign "
            "ministry in Verrin said diplomacy was at an end.",
        ),
        (
            "Mayor quits party over housing policy",
            "The city council is split before local elections. She will run as an independent, "
            "she told parliament's radio.",
        ),
    ],
    "religion": [
        (
            "New bishop calls for open church doors",
            "The cathedral was full for the first sermon. Priests from every parish took part in "
            "the mass.",
        ),
        (
            "Pilgrims fill the hill shrine for the saint's day",
            "Worshippers walked barefoot and prayed through the night. Monks gave them bread.",
        ),
        (
            "Mosque and synagogue share a kitchen",
            "The imam and the rabbi say that breaking the fast together came first and theology "
            "after.",
        ),
        (
            "Temple reopens after monsoon repairs",
            "Hindu devotees lit lamps for Diwali as priests blessed the new roof.",
        ),
        (
            "Pope to visit island diocese",
            "The Vatican said the pontiff will meet clergy and young Catholics.",
        ),
    ],
    "science-and-technology": [
        (
            "Probe sends first pictures from icy moon",
            "The spacecraft flew past at 30 km. Scientists at the space agency see signs of an "
            "ocean.",
        ),
        (
            "Chip maker shows processor that sips power",
            "The semiconductor runs artificial intelligence on a phone. Software developers get "
            "it first.",
        ),
        (
            "Fossil shows how early birds slept",
            "Palaeontologists scanned the skeleton in a laboratory. The study is in a journal "
            "this week.",
        ),
        (
            "Physicists weigh the neutrino again",
            "The experiment, run underground for six years, narrows the range. Theory had hoped "
            "for less.",
        ),
        (
            "Browser update closes security hole",
            "Hackers had used the flaw to steal passwords. Users should install the new version.",
        ),
    ],
    "society": [
        (
            "Rough sleepers outnumber beds in every big city",
            "Homelessness has doubled in ten years, charities say. Families in poverty make up a "
            "third.",
        ),
        (
            "Same-sex couples may adopt, island votes",
            "Campaigners for equality hugged in the square. Discrimination remains, they said.",
        ),
        (
            "One in four adults lives alone, census shows",
            "The population is older and families are smaller. Loneliness worries social workers.",
        ),
        (
            "Girls still marry at fifteen in the hill districts",
            "Child marriage is banned, but gender and caste decide. A charity pays families to "
            "wait.",
        ),
        (
            "Newcomers and neighbours: a street learns to mix",
            "Immigrants from nine countries share the block. Racism has faded, older residents "
            "say, as the community found a common cause.",
        ),
    ],
    "sport": [
        (
            "Late header sends Tarn Rovers top",
            "The striker scored in stoppage time for a 2-1 win. His coach praised the goalkeeper.",
        ),
        (
            "Oduya breaks 10,000m record in the rain",
            "The runner took gold by eleven seconds at the athletics championships.",
        ),
        (
            "Teenager through to first grand slam semi-final",
            "She saved two match points to beat the third seed 6-4 3-6 7-6.",
        ),
        (
            "Bowlers leave hosts in trouble on day two",
            "Four wickets fell before lunch. The captain was out for nine in the final Test of the "
            "series.",
        ),
        (
            "Harriers trade veteran quarterback",
            "The team gets two draft picks for next season. Fans were not told.",
        ),
    ],
    "weather": [
        (
            "Heavy snow and icy winds on the way",
            "Forecasters issued an amber warning for the north. Temperatures will fall to -9C by "
            "morning.",
        ),
        (
            "Heatwave to peak on Thursday",
            "Meteorologists expect 41C inland and thunderstorms by night.",
        ),
        (
            "A grey weekend, with sunshine to follow",
            "Showers will clear from the west. Fog may linger in valleys, the forecast says.",
        ),
        (
            "Wettest April since records began",
            "Rainfall was twice the average, the weather service said. It was also mild.",
        ),
        (
            "Monsoon arrives five days early",
            "Rain reached the southern coast with gusts of 60 km/h. The met office expects a wet "
            "season.",
        ),
    ],
}


def best(title: str | None, body: str, language: str | None = "en", **evidence: object) -> str:
    return classify_topics(MODEL, title, body, language, **evidence).best  # type: ignore[arg-type]


@pytest.mark.parametrize("slug", SNIPPETS)
def test_most_snippets_of_each_concept_are_recognised(slug: str) -> None:
    found = [best(title, body) for title, body in SNIPPETS[slug]]
    assert found.count(slug) >= 4, found


def test_the_model_knows_the_seventeen_concepts() -> None:
    assert len(MODEL.concepts) == 17
    assert {concept.slug for concept in MODEL.concepts} == set(SNIPPETS)


def test_a_slug_is_the_name_in_lower_case_joined_by_hyphens() -> None:
    assert slug_of("crime, law and justice") == "crime-law-and-justice"


@pytest.mark.parametrize(
    ("title", "body"),
    [
        (
            "Envoys of three powers disagree over deployment",
            "Talks between deputy foreign ministers on normalising ties ended without result. The "
            "delegation insisted on sovereignty and the withdrawal of troops from the north.",
        ),
        (
            "Capital frustrated by neighbour's reluctance to rein in militias",
            "The prime minister cautioned party leaders that armed factions who attack from the "
            "country's soil could draw it into a war. Washington had warned of strikes.",
        ),
        (
            "Foreign minister's visit focuses on security",
            "The two governments will work together against remnants of the Islamist group. "
            "Relations have been strained since rebels toppled the president.",
        ),
        (
            "Army sends new column to observation posts after talks",
            "Armoured vehicles crossed the border on Friday although both sides had agreed to "
            "withdraw heavy weapons from the de-escalation zone.",
        ),
    ],
)
def test_war_and_diplomacy_are_conflict_or_politics(title: str, body: str) -> None:
    assert best(title, body) in {"conflict-war-and-peace", "politics"}


def test_a_text_without_any_telling_word_is_unclassified_and_says_why() -> None:
    scores = classify_topics(MODEL, None, "Hello there. It is what it is.", "en")
    assert (scores.topics, scores.best) == ((), UNCLASSIFIED)
    assert scores.note == "no term of any topic"


def test_a_weak_hint_alone_is_not_enough() -> None:
    scores = classify_topics(MODEL, None, "It happened again this afternoon, over there.", "en")
    assert scores.best == UNCLASSIFIED
    assert "below" in scores.note


def test_a_language_without_lexicon_is_unclassified_and_says_so() -> None:
    scores = classify_topics(MODEL, "Jalkapalloa", "Ottelu päättyi tasan eilen illalla.", "fi")
    assert scores.best == UNCLASSIFIED
    assert "no lexicon for language 'fi'" in scores.note


@pytest.mark.parametrize(
    ("language", "title", "body", "slug"),
    [
        (
            "ar",
            "مبعوث يبحث سحب القوات",
            "قال الوزير إن المحادثات تناولت السيادة والعلاقات.",
            "politics",
        ),
        ("ar", "الفريق يفوز", "سجل اللاعب هدفين في المباراة.", "sport"),
        ("de", "Landtag lehnt Gesetzentwurf ab", "Die Koalition verlor zwei Stimmen.", "politics"),
        ("es", "Huelga de trenes", "Los sindicatos piden mejores salarios.", "labour"),
        ("fr", "L’école rouvre", "Les élèves retrouvent l’enseignante lundi.", "education"),
        ("it", "Scossa nella notte", "Il terremoto ha fatto crollare case, sfollati.", DISASTER),
        ("pt", "Vacina chega ao interior", "Os médicos do hospital esperam doses.", "health"),
    ],
)
def test_six_more_languages_have_a_small_lexicon(
    language: str, title: str, body: str, slug: str
) -> None:
    assert best(title, body, language) == slug


def test_the_section_speaks_for_a_text_in_any_language() -> None:
    assert best("Otsikko", "Ottelu päättyi tasan.", "fi", section="Sport") == "sport"


def test_a_tag_that_names_a_media_topic_speaks_for_its_top_level_concept() -> None:
    assert best(None, "…", "fi", tags=["Peace talks"]) == "conflict-war-and-peace"
    assert best(None, "…", "fi", tags=["medtop:20000344"]) == "economy-business-and-finance"


def test_the_section_decides_between_topics_that_the_text_leaves_open() -> None:
    body = "The minister met the team and its coach."
    assert best(None, body, section="Politics") == "politics"
    assert best(None, body, section="Sports") == "sport"


def test_an_unknown_section_changes_nothing() -> None:
    title, body = SNIPPETS["sport"][0]
    with_section = classify_topics(MODEL, title, body, "en", section="Zzyzx")
    assert with_section == classify_topics(MODEL, title, body, "en")


def test_region_and_case_of_the_language_tag_do_not_matter() -> None:
    title, body = SNIPPETS["health"][0]
    assert best(title, body, "en-GB") == best(title, body, "EN") == best(title, body, None)


def test_capitals_tell_the_health_organisation_from_the_pronoun() -> None:
    assert best(None, "WHO, WHO. And they, they.") == "health"
    assert best(None, "Who, who. And they, they.") == UNCLASSIFIED


def test_a_title_in_capitals_is_read_as_words() -> None:
    assert best("STRIKER WHO SCORED IT", "…") == "sport"


def test_the_longest_term_wins_so_that_its_words_do_not_count_alone() -> None:
    lexicon = build_lexicon("en", [("war", 0, 3.0), ("price war", -1, 0.0)])
    assert lexicon.phrases["price"][0][0] == ("price", "war")
    assert lexicon.weights[lexicon.phrases["price"][0][1]] == ()


def test_a_term_of_two_concepts_counts_less_for_each() -> None:
    lexicon = build_lexicon("en", [("pitch", 0, 2.0), ("pitch", 1, 2.0)])
    ((first, second),) = lexicon.weights
    assert (first[0], second[0]) == (0, 1)
    assert first[1] == second[1] == pytest.approx(2 * 0.5**0.5)


def test_plural_and_singular_are_one_term_unless_a_form_is_pinned() -> None:
    lexicon = build_lexicon("en", [("giant", 0, 1.0), ("=giants", 1, 3.0), ("parties", 2, 1.0)])
    assert set(lexicon.words) == {"giant", "giants", "party"}


@pytest.mark.parametrize(
    ("word", "normal"),
    [
        ("Elections", "election"),
        ("stories", "story"),
        ("matches", "match"),
        ("glass", "glass"),
        ("virus", "virus"),
        ("crisis", "crisis"),
        ("minister’s", "minister"),
        ("6–4", "#score"),
    ],
)
def test_english_words_lose_plural_and_possessive(word: str, normal: str) -> None:
    assert normalise_word(word, "en") == normal


def test_an_arabic_noun_is_found_with_its_joined_particles() -> None:
    forms = ["حكومة", "الحكومة", "والحكومة", "للحكومة", "بالحكومة"]
    assert len({normalise_word(form, "ar") for form in forms}) == 1


def test_a_short_prefix_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'war\*' has fewer than 4 letters"):
        build_lexicon("en", [("war*", 0, 1.0)])


def test_a_term_file_with_an_unknown_concept_is_refused_with_its_line() -> None:
    with pytest.raises(ValueError, match=r"line 2: no concept has the slug '\[sprot\]'"):
        parse_terms("# sport\n[sprot]\n1: ball", {"sport": 0})


def test_terms_before_the_first_concept_are_refused() -> None:
    with pytest.raises(ValueError, match="line 1: terms before the first"):
        parse_terms("1: ball", {"sport": 0})


def test_a_term_broken_over_two_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="line 3: the line before does not end in a comma"):
        parse_terms("[sport]\n2: ball, table\n   tennis", {"sport": 0})


def test_a_line_without_weight_continues_the_one_above() -> None:
    assert parse_terms("[sport]\n2: ball,\n   bat", {"sport": 0}) == [
        ("ball", 0, 2.0),
        ("bat", 0, 2.0),
    ]


def test_the_model_travels_to_workers() -> None:
    assert pickle.loads(pickle.dumps(MODEL)) == MODEL


NEWS = st.sampled_from([pair for pairs in SNIPPETS.values() for pair in pairs])
PROSE = st.text(max_size=300) | NEWS.map(" ".join)


@given(title=st.none() | PROSE, body=PROSE, tags=st.lists(PROSE, max_size=2), section=PROSE)
@example(title="", body="", tags=[], section="")
def test_scores_are_shares_in_falling_order(
    title: str | None, body: str, tags: list[str], section: str
) -> None:
    scores = classify_topics(MODEL, title, body, None, tags, section)
    values = [topic.score for topic in scores.topics]
    assert values == sorted(values, reverse=True)
    assert all(REPORTED_SCORE <= value <= 1 for value in values)
    assert sum(values) <= 1.001
    if scores.best == UNCLASSIFIED:
        assert scores.note
    else:
        assert scores.best == scores.topics[0].slug
        assert not scores.note


@given(first=NEWS, others=st.lists(NEWS, max_size=3))
def test_what_was_classified_before_does_not_matter(
    first: tuple[str, str], others: list[tuple[str, str]]
) -> None:
    alone = classify_topics(MODEL, *first, "en")
    for title, body in others:
        classify_topics(MODEL, title, body, "en")
    assert classify_topics(MODEL, *first, "en") == alone
