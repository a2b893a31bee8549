"""Makes the seeds that no text editor can keep, and the table of all seeds in ``docs/seeds.md``.

    python benchmarks/make_seeds.py

The other seeds are written by hand. These are not, because an editor or Git would alter them
(other encodings than UTF-8, broken bytes, compressed files, archives) or because they hold copies
of hand-written ones. Everything here is fixed, identifiers and times too, so that a second run
writes the same bytes; ``tests/test_seeds.py`` holds that.
"""

from __future__ import annotations

import gzip
import html
import io
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastwarc.warc import WarcRecord, WarcRecordType

REPOSITORY = Path(__file__).resolve().parent.parent
SEEDS = REPOSITORY / "seeds"
EXPECTED = REPOSITORY / "tests" / "seeds_expected.json"
TABLE_PAGE = REPOSITORY / "docs" / "seeds.md"

TABLE_BEGIN = "<!-- table: written by benchmarks/make_seeds.py from tests/seeds_expected.json -->"
TABLE_END = "<!-- end of table -->"

# A PNG of one grey pixel (W3C PNG, third edition): signature, IHDR, IDAT, IEND.
PNG = bytes.fromhex(
    "89504e470d0a1a0a"
    "0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c636800000082008177cd72b6"
    "0000000049454e44ae426082"
)

COUNCIL = """
Ljubljana's city council voted on Tuesday night to cut its own size from 45 seats to 29 at the next
election, a step that its supporters called overdue and its critics an attack on small parties.

The change was carried by 24 votes to 19 after a debate of seven hours. It takes effect with the
municipal elections in the Slovenian capital in the autumn of next year.

“A council that cannot hear itself speak cannot govern,” said the deputy mayor, Tjasa Kobal, who
brought in the proposal. She said that smaller committees would decide faster and save 380,000
euros a year in attendance fees.

## Small parties go to court

Four parties that hold one or two seats each announced that they would take the matter to the
constitutional court. Under the new rules a list would need about 3.4 percent of the vote to win a
seat, up from 2.2 percent.

“They are not cutting the fat, they are cutting the opposition,” said Anze Remec of the civic list
Open Bridges. Two members of the mayor's own party voted against the plan as well.

Councils in the country have been allowed to choose their number of seats within limits since 1994.
Maribor, the second largest city, went from 45 seats to 39 in its last term and later decided
against a further cut.

The council also agreed to stream the meetings of its committees and to publish each member's votes
within a day. That part of the reform found no opponent.
"""

DOLPHINS = """
À Brest, une équipe de chercheurs et quatre patrons pêcheurs ont mis au point un filet que les
dauphins « entendent » de loin. Après dix-huit mois d’essais dans le golfe de Gascogne, les captures
accidentelles ont reculé de 71 %, selon des résultats présentés lundi à l’Institut de la mer
d’Armorique.

L’idée tient dans un fil. Les ingénieurs ont tressé dans les mailles un cœur de fibre creuse, qui
renvoie les sons aigus par lesquels les cétacés sondent l’eau. « Pour un dauphin, un filet ordinaire
est une vitre. Le nôtre ressemble à un mur de briques », explique la biologiste Maëlle Kervadec.

Jusqu’ici, on équipait les bateaux de balises sonores. Elles font fuir les animaux, mais elles
s’usent vite, coûtent plus de 300 € pièce et chassent parfois les dauphins de leurs zones de
nourrissage. La fibre, elle, ne consomme aucune énergie.

## Le prix reste l’obstacle

Un filet tressé revient environ 40 % plus cher. « Si l’on me rembourse la différence, je signe
demain », assure Yann Le Guirriec, patron d’un fileyeur du Conquet, qui a participé à l’expérience.
Les poissons, eux, ne font pas la différence : les prises de merlu sont restées stables.

L’équipe veut maintenant vérifier que la fibre résiste au sel et aux treuils pendant plusieurs
saisons. Une trentaine de bateaux français et espagnols testeront le procédé dès l’hiver prochain,
grâce à une aide européenne de 2,8 millions d’euros.

Des associations de protection de la nature saluent une piste sérieuse, mais rappellent qu’aucun
filet n’est sans danger. Elles demandent le maintien de la fermeture de la pêche pendant un mois,
décidée chaque hiver depuis 2024.
"""

MARKET = """
A fire gutted the upper floor of a century-old market hall in São Luís in northern Brazil on
Sunday, destroying some sixty stalls but injuring nobody, the fire brigade said.

The flames were seen shortly before four in the morning by José Inácio Pereira, a fishmonger who
had come to prepare his ice. He ran from door to door and woke the traders who sleep above their
stalls.

“I have shouted about my fish for thirty years, so my voice was in good shape,” he told reporters.

More than seventy firefighters fought the blaze for five hours, with water pumped from the bay.
Part of the iron roof, which was cast in Glasgow in 1911, fell into the hall. Experts were to
decide on Monday whether the façade can be saved.

Investigators were looking at an overloaded cable near a café on the upper floor as a possible
cause. The city's mayor's office said that the wiring had been due for renewal in March and that the
work had been put off for lack of bids.

Traders without stalls will be given places in a car park by the ferry terminal from Wednesday.
The association of stallholders put the damage at 11 million reais, little of which was insured,
and asked the state of Maranhão for loans without interest.

Neighbours brought breakfast. By noon the first fish was being sold from a handcart on the steps,
at half the usual price.
"""

FLATS = """
Hundreds of families in Halifax have applied for permission to build small flats for grandparents
in their gardens, a year after the Canadian city gave up its rule of one household to a plot.

The city has received 412 applications and approved 287 of them, according to a report put before
the regional council on Tuesday. Officials had expected about a hundred in the first year.

“My mother is forty steps away, and that is exactly the right number,” said Leanne MacAskill, a
bus driver who moved her mother into a timber house of 38 square metres behind her own in
Dartmouth. The two women have dinner together and breakfast apart.

Statistics show that one in three people over seventy-five in Nova Scotia lives alone. Demographers
say that the province is ageing faster than most of Canada because the young leave for work in the
west and the old return from it.

## Neighbours complain about shade

Not everyone is pleased. The city has heard ninety objections, most of them about shade, parking
and old trees. A residents' group in the south end has asked for a limit of one garden flat for
every five houses.

Social workers point out that living close by does not replace care. “A grandmother in the garden is
not a nurse in the house, and she is not a free nursery either,” said Dr Farah Siddiqui, who studies
families at a university in the city. She found that four in ten of the flats are used by adult
children rather than by parents.

The council will decide in the autumn whether to offer loans of up to 40,000 Canadian dollars to
families with low incomes. Other towns in Atlantic Canada are watching: Moncton and Charlottetown
have asked for the drawings.
"""

BEES = """
A school in the Austrian town of Eferding that has lost half of its pupils in twenty years has
found an unusual way to fill its classrooms: every child who enrols is given a hive of bees to look
after, and a lesson timetable that follows the seasons.
"""

WARC_NAMESPACE = uuid.UUID("6f1d5c0e-2f0b-5c1e-9a55-0d9b1f3a7c42")


def paragraphs(text: str) -> list[str]:
    """Split one of the texts above at its blank lines and join the lines of each paragraph."""
    return [" ".join(block.split()) for block in text.strip().split("\n\n")]


def as_html(text: str, heading: str = "h2") -> str:
    """Give a text as HTML paragraphs; ``##`` marks a subheading."""
    return "\n".join(
        f"<{heading}>{html.escape(block[3:], quote=False)}</{heading}>"
        if block.startswith("## ")
        else f"<p>{html.escape(block, quote=False)}</p>"
        for block in paragraphs(text)
    )


def as_text(text: str) -> str:
    """Give a text as plain paragraphs with blank lines between them."""
    return "\n\n".join(block.removeprefix("## ") for block in paragraphs(text))


def gzipped(content: bytes) -> bytes:
    """Compress to one gzip member without name or time, so that it is a function of its content."""
    target = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=target, mtime=0) as member:
        member.write(content)
    return target.getvalue()


def council_page() -> bytes:
    """Give a saved page that says when it was published in meta tags only."""
    return f"""<!doctype html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<title>Ljubljana council votes to cut its own size | Sava Chronicle</title>
<meta property="og:site_name" content="Sava Chronicle">
<meta property="og:title" content="Ljubljana council votes to cut its own size">
<meta property="og:type" content="article">
<meta property="article:published_time" content="2025-12-10T06:10:00+01:00">
<meta name="author" content="Matej Zupanec">
<link rel="canonical" href="https://sava.example/politics/council-votes-to-cut-its-own-size">
</head>
<body>
<div class="topbar"><a href="/">Sava Chronicle</a> <a href="/live">Live</a></div>
<div class="layout">
<div class="column-main">
<h1>Ljubljana council votes to cut its own size</h1>
<p class="meta">Matej Zupanec &middot; 10.12.2025 &middot; Reading time 2 min</p>
<div class="text">
{as_html(COUNCIL, "h3")}
</div>
<p class="more"><a href="/politics">Back to all political news</a></p>
</div>
<div class="column-side">
<h4>Most read</h4>
<ol>
<li><a href="/a/1">Snow closes the Vrsic pass until April</a></li>
<li><a href="/a/2">Rents in the capital fall for the first time in nine years</a></li>
<li><a href="/a/3">What the new timetable means for commuters</a></li>
</ol>
</div>
</div>
<footer>Sava Chronicle d.o.o. &copy; 2025 <a href="/terms">Terms of use</a></footer>
</body>
</html>
""".encode()


def dolphin_page() -> bytes:
    """Give a French page in windows-1252, which only its own meta tag says."""
    return f"""<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN">
<html lang="fr">
<head>
<meta http-equiv="Content-Type" content="text/html; charset=windows-1252">
<title>Un filet que les dauphins entendent – Le Goéland de Brest</title>
<meta name="description" content="Une fibre creuse rend les mailles audibles pour les cétacés.">
<meta name="date" content="2026-05-18">
</head>
<body>
<div id="menu"><a href="/">Accueil</a> | <a href="/mer">Mer</a> | <a href="/sports">Sports</a> |
<a href="/annonces">Petites annonces</a></div>
<div id="contenu">
<h1>Un filet que les dauphins entendent</h1>
<p class="signature">Par Corentin Abgrall</p>
{as_html(DOLPHINS)}
</div>
<div id="abonnement"><p>Abonnez-vous dès 1 € par mois et recevez notre lettre du matin.</p></div>
<div id="pied">Le Goéland de Brest – Tous droits réservés – Mentions légales</div>
</body>
</html>
""".encode("windows-1252")


def market_dump() -> bytes:
    """Give a dump in UTF-8 in which two names were pasted in as Latin-1 bytes."""
    text = f"""Maranhao Today
Your window on the northern coast

Fire Guts Century-Old Market Hall on Brazil's Northern Coast

Sunday, July 6, 2025, 1:15 PM UTC
By Thalita Nogueira

{as_text(MARKET)}

Send us your pictures
Report an error
"""
    content = text.encode()
    for word in ("José Inácio", "façade"):
        content = content.replace(word.encode(), word.encode("latin-1"))
    return content


def truncated_page() -> bytes:
    """Give the front part of a compressed page, as a broken download leaves it."""
    page = f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>A hive for every pupil</title></head>
<body><article><h1>A hive for every pupil</h1>
{as_html(BEES)}
</article></body></html>
""".encode()
    whole = gzipped(page)
    return whole[: len(whole) * 2 // 3]


def flats_page(site: str, title: str, author: str, published: str) -> bytes:
    """Give one site's page of the story that two sites in the archive have carried."""
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<title>{title} - {site}</title>
<meta property="og:site_name" content="{site}">
<meta property="og:title" content="{title}">
<meta property="article:published_time" content="{published}">
<meta name="author" content="{author}">
</head><body>
<header><a href="/">{site}</a> <a href="/local">Local</a> <a href="/opinion">Opinion</a></header>
<article><h1>{title}</h1><p class="by">By {author}</p>
{as_html(FLATS)}
</article>
<footer>&copy; {site}</footer>
</body></html>
""".encode()


def beaver_page() -> bytes:
    """Give a page with the story on beavers that a hand-written dump holds too."""
    dump = (SEEDS / "080_dump_three_articles.txt").read_text(encoding="utf-8")
    begin = dump.index("A colony of beavers")
    body = dump[begin : dump.index("\n\n\n\nWeather", begin)]
    marked = body.replace("\nTwo dams will go\n", "\n## Two dams will go\n")
    title = "How Beavers Saved a Town That Wanted Them Gone"
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta property="og:title" content="{title}">
<meta property="og:site_name" content="Upland Review">
<script type="application/ld+json">{{"@context": "https://schema.org", "@type": "NewsArticle",
"headline": "{title}", "datePublished": "2025-11-08",
"author": {{"@type": "Person", "name": "Thibault Maes"}}}}</script>
</head><body>
<nav><a href="/">Upland Review</a> <a href="/rivers">Rivers</a> <a href="/woods">Woods</a></nav>
<main><h1>{title}</h1>
{as_html(marked)}
</main>
<footer>Upland Review appears four times a year.</footer>
</body></html>
""".encode()


def archive() -> bytes:
    """Give a WARC 1.1 (ISO 28500:2017) of five responses, one gzip member a record.

    The story on garden flats was captured twice within three days. The story on beavers was
    captured months away from any run, so that it is no copy of the dump's within a horizon of days.
    """
    not_found = b"<html><head><title>404</title></head><body><h1>Not here</h1></body></html>"
    responses = [
        (
            "https://bluenose.example/local/garden-flats-for-grandparents",
            "2025-06-18T04:12:33Z",
            "200 OK",
            "text/html; charset=utf-8",
            flats_page(
                "Bluenose Daily",
                "Halifax Families Build Small Flats for Grandparents",
                "Morley Fraser",
                "2025-06-17T16:30:00-03:00",
            ),
        ),
        (
            "https://bluenose.example/local/garden-flats-part-two",
            "2025-06-18T04:12:35Z",
            "404 Not Found",
            "text/html; charset=utf-8",
            not_found,
        ),
        (
            "https://bluenose.example/static/pixel.png",
            "2025-06-18T04:12:36Z",
            "200 OK",
            "image/png",
            PNG,
        ),
        (
            "https://tidewater.example/2025/06/19/grandparents-in-the-garden",
            "2025-06-20T22:40:01Z",
            "200 OK",
            "text/html; charset=utf-8",
            flats_page(
                "Tidewater Weekly",
                "Grandparents in the Garden",
                "Morley Fraser",
                "2025-06-19T09:00:00-03:00",
            ),
        ),
        (
            "https://upland.example/rivers/beavers-saved-a-town",
            "2026-03-20T10:00:00Z",
            "200 OK",
            "text/html; charset=utf-8",
            beaver_page(),
        ),
    ]
    information = b"software: newsbeam seeds\r\nformat: WARC File Format 1.1\r\n"
    members = [
        record(
            WarcRecordType.warcinfo, "2025-06-18T04:12:30Z", information, "application/warc-fields"
        )
    ]
    for url, captured_at, status, content_type, body in responses:
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        members.append(
            record(
                WarcRecordType.response,
                captured_at,
                head.encode() + body,
                "application/http; msgtype=response",
                url,
            )
        )
    return b"".join(gzipped(member) for member in members)


def record(
    kind: WarcRecordType, captured_at: str, content: bytes, content_type: str, url: str = ""
) -> bytes:
    """Give one WARC record, its identifier derived from what it is rather than drawn by chance."""
    result = WarcRecord()
    identifier = uuid.uuid5(WARC_NAMESPACE, f"{captured_at} {url}")
    result.init_headers(record_type=kind, record_urn=f"uuid:{identifier}".encode())
    result.headers["WARC-Date"] = captured_at
    result.headers["Content-Type"] = content_type
    if url:
        result.headers["WARC-Target-URI"] = url
    result.set_bytes_content(content)
    target = io.BytesIO()
    result.write(target, checksum_data=True)
    return target.getvalue()


def generated_seeds() -> dict[str, bytes]:
    """Give the content of every seed that this script writes, by file name."""
    return {
        "110_page_compressed.html.gz": gzipped(council_page()),
        "130_page_windows_1252.html": dolphin_page(),
        "190_archive.warc.gz": archive(),
        "200_empty.txt": b"",
        "210_whitespace.txt": b" \n\t\r\n\n \xc2\xa0 \n\n",
        "220_picture_named_text.txt": PNG,
        "230_dump_broken_encoding.txt": market_dump(),
        "240_page_truncated.html.gz": truncated_page(),
    }


def expectation_table(expected: Mapping[str, Any]) -> str:
    """Render the expectations as the Markdown table of ``docs/seeds.md``, one row a unit."""
    rows = [
        "| File | Unit | Outcome | Date (source) | Language | Topic | Authors, agency |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, units in expected["files"].items():
        for position, unit in enumerate(units):
            rows.append(f"| {f'`{name}`' if position == 0 else ''} | {_cells(unit)} |")
    return "\n".join(rows)


def _cells(unit: Mapping[str, Any]) -> str:
    outcome = unit["outcome"]
    if outcome in ("rejected", "failed"):
        outcome = f"{outcome}: `{unit['reason']}`"
        return " | ".join([unit["title"] or "–", outcome, "–", "–", "–", "–"])
    if outcome == "duplicate":
        outcome = f"{unit['kind']} copy of “{unit['of']}” (`{unit['of_file']}`)"
    date = f"{unit['date']} ({unit['date_source']})" if unit["date"] else "undated"
    if unit.get("date_may_be_null"):
        date += " or undated"
    credits = "; ".join([*unit["authors"], *filter(None, [unit["agency"]])]) or "–"
    return " | ".join([unit["title"], outcome, date, unit["language"], unit["topic"], credits])


def with_table(page: str, table: str) -> str:
    """Put the table between its two marks in the page."""
    before, _, rest = page.partition(TABLE_BEGIN)
    _, _, after = rest.partition(TABLE_END)
    return f"{before}{TABLE_BEGIN}\n\n{table}\n\n{TABLE_END}{after}"


def main() -> None:
    """Write the generated seeds and the table."""
    for name, content in generated_seeds().items():
        (SEEDS / name).write_bytes(content)
    expected = json.loads(EXPECTED.read_text(encoding="utf-8"))
    page = TABLE_PAGE.read_text(encoding="utf-8")
    TABLE_PAGE.write_text(with_table(page, expectation_table(expected)), encoding="utf-8")


if __name__ == "__main__":
    main()
