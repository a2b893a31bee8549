"""What shows that a page is no article: it stands before or instead of one, or must be paid."""

from __future__ import annotations

import pytest
from page_factory import PARAGRAPHS, SEEN, URL, html, json_ld, meta

from schemas.records import Article, Failure, Page
from transforms.interstitials import error_sign, interstitial_sign, is_prompt_to_pay, paywall_sign
from transforms.saved_pages import extract_page

STATED = {"@type": "NewsArticle", "headline": "Bridge reopens after two years"}


def extracted(content: str) -> Article | Failure:
    (result,) = extract_page(Page(URL, URL, "html", content.encode(), SEEN, url=URL))
    return result


def rejected(content: str) -> Failure:
    result = extracted(content)
    assert isinstance(result, Failure), result
    assert (result.kind, result.stage) == ("rejected", "extract")
    return result


# ── pages before the page ───────────────────────────────────────────────────────────────────────

CONSENT = {
    "en": "We and our 214 partners store and access information on your device. We use cookies to "
    "measure our audience and to show you personalised advertising. You can withdraw your consent "
    "at any time in the settings. Some of our partners process your personal data on the basis of "
    "legitimate interest.",
    "de": "Wir und unsere Partner verwenden Cookies, um unser Angebot zu finanzieren. Dafür "
    "brauchen wir Ihre Einwilligung, die Sie jederzeit widerrufen können. Mit Werbung weiterlesen "
    "oder ohne Werbung im Abonnement. Ihre Auswahl speichern wir auf diesem Gerät.",
    "fr": "Avec votre accord, nous et nos partenaires utilisons des cookies pour mesurer notre "
    "audience. Vous pouvez retirer votre consentement à tout moment. Nous respectons votre vie "
    "privée et vos choix sur tous nos sites.",
    "es": "Nosotros y nuestros socios utilizamos cookies para medir la audiencia. Puede retirar su "
    "consentimiento en cualquier momento. Aceptar todo o rechazar todo.",
    "pl": "Używamy plików cookies, aby dopasować treści. Twoja zgoda jest dobrowolna i możesz ją "
    "wycofać w każdej chwili.",
}


@pytest.mark.parametrize("language", CONSENT)
def test_a_page_that_asks_for_consent_is_no_article(language: str) -> None:
    content = f"<html><head><title>news.example</title></head><body><p>{CONSENT[language]}</p>"
    assert rejected(content).reason == "challenge-page"


def test_a_long_page_that_asks_for_consent_is_no_article() -> None:
    asked = [f"Purpose {number}. {CONSENT['en']}" for number in range(6)]
    assert interstitial_sign([], asked, "") is not None
    assert (
        rejected(html("", "".join(f"<p>{part}</p>" for part in asked))).reason == "challenge-page"
    )


def test_a_long_list_of_single_words_asks_for_nothing() -> None:
    assert interstitial_sign([], ["Herring"] * 300, "") is None


def test_an_article_may_quote_a_request_for_consent() -> None:
    assert interstitial_sign(["Sites ask"], [*PARAGRAPHS * 3, CONSENT["en"]], "") is None


@pytest.mark.parametrize(
    "title", ["We value your privacy", "Cookie settings | News", "Einwilligung", "Votre vie privée"]
)
def test_the_title_of_a_page_may_ask_for_consent(title: str) -> None:
    assert interstitial_sign([title], PARAGRAPHS[:1], "") is not None


@pytest.mark.parametrize(
    "title", ["Your privacy and the new bridge", "Zustimmung zur Brücke wächst"]
)
def test_an_article_s_title_may_begin_as_such_a_request_does(title: str) -> None:
    assert interstitial_sign([title], PARAGRAPHS, "") is None


def test_of_a_page_that_leads_on_by_itself_fewer_words_are_a_challenge() -> None:
    sentences = ["Please wait a moment.", "The archive of the town holds nine thousand pictures."]
    assert interstitial_sign([], sentences, " ".join(sentences)) is None
    assert interstitial_sign([], sentences, " ".join(sentences), is_gate=True) is not None


def test_an_article_about_cookies_is_no_consent_page() -> None:
    about = [f"{paragraph} We use cookies." for paragraph in PARAGRAPHS]
    assert interstitial_sign(["Why sites ask about cookies"], about, "") is None


@pytest.mark.parametrize(
    "title",
    [
        "Access denied: why the harbour stays shut for anglers",
        "Security check finds rust in the old arch",
        "Please wait: the ferry that never came",
        "503 service years: the oldest bus retires",
        "Cookie consent - how a baker gives his away",
        "Bitte warten: Die Fähre kommt erst im Mai",
        "Zugriff verweigert – Stadt hält Gutachten zurück",
        "Einwilligung - was Angler jetzt unterschreiben",
        "Accès refusé aux pêcheurs du port",
        "Um momento de festa na ponte",
        "Доступ ограничен: мост закрыт до весны",
        "安全检查后大桥重新开放",
    ],
)
def test_the_title_of_a_story_may_begin_as_that_of_a_challenge_does(title: str) -> None:
    assert interstitial_sign([title], PARAGRAPHS, "") is None
    assert interstitial_sign([title], ["We look at your browser."], "") is not None


@pytest.mark.parametrize(
    "title",
    ["Access denied", "Just a moment...", "Security check | News", "Доступ ограничен", "安全检查"],
)
def test_a_title_that_says_nothing_else_is_that_of_a_challenge(title: str) -> None:
    assert interstitial_sign([title], PARAGRAPHS, "") is not None


def test_a_brief_that_tells_what_was_said_is_no_challenge_for_its_title() -> None:
    brief = [
        "Anglers may not go to the harbour before May, the mayor said on Monday, since the "
        "quay is to be built anew, and nobody knows how long it will stand."
    ]
    title = "Access denied: why the harbour stays shut for anglers"
    assert interstitial_sign([title], brief, "") is None
    assert error_sign(["Article 12 does not exist any more for anglers"], brief) is None


def test_what_a_title_begins_with_is_borne_out_by_the_text() -> None:
    asks = (
        "Please enable JavaScript and cookies in your browser to go on to the page of the bridge."
    )
    text = [PARAGRAPHS[0], PARAGRAPHS[2], *([asks] * 3)]
    assert interstitial_sign(["Security check for the readers of the news"], text, "") is not None
    assert interstitial_sign(["The readers of the news"], text[:4], "") is None


REPORTS = {
    "cookies": "Sites must let users reject all cookies, the regulator ruled on Monday. Users may "
    "withdraw their consent whenever they like, and our partners abroad are to follow in May with "
    "cookies of their own, the regulator said.",
    "captchas": "Most of us cannot solve a captcha at the first attempt, a study found that was "
    "made at the lake. Asked to prove that they are not a robot, nine in ten clicked on the ferry, "
    "the authors said.",
    "prices": "The paper raises the price of its premium subscription to continue reading on "
    "Sundays, it announced. Those who already have a subscription keep theirs for a year and can "
    "cancel at any time, the publisher told them in a letter.",
    "Einwilligung": "Wer die Fähre bucht, muss alle Cookies ablehnen können, entschied das Gericht "
    "am Montag. Ihre Einwilligung können Kunden künftig widerrufen, sagte ein Richter, und die "
    "Reederei muss das auf der ersten Seite zeigen.",
    "クッキー": "町は２日、サイトでcookieの使用に同意を求める画面をやめると発表した。"
    "住民は登録なしで橋の工事の記録を見られるようになる。町長は議会で、cookieの使用は必要がないと述べた。",
}


@pytest.mark.parametrize("about", REPORTS)
def test_what_tells_of_others_asks_the_reader_for_nothing(about: str) -> None:
    assert isinstance(
        extracted(html("", f"<h1>From the river</h1><p>{REPORTS[about]}</p>")), Article
    )


@pytest.mark.parametrize(
    "text",
    [
        "You seem to be using an ad blocker. Please switch it off for this site and load the page "
        "again, since advertisements pay for the work of our newsroom.",
        "Adblocker erkannt: Bitte schalten Sie Ihren Adblocker für diese Seite aus, damit wir die "
        "Arbeit unserer Redaktion bezahlen können, und laden Sie die Seite dann neu.",
        "Vous utilisez un bloqueur de publicité, et la publicité paie le travail de toute notre "
        "rédaction au bord du fleuve, des lacs et de la mer.",
        "The site is not available to readers in the European Union at this time. We are at work "
        "on a way to bring our reports to your region as soon as we can.",
    ],
)
def test_a_page_for_no_ad_blocker_or_no_european_is_no_article(text: str) -> None:
    content = html("<title>Bridge reopens</title>", f"<h1>Bridge reopens</h1><p>{text}</p>")
    assert rejected(content).reason == "challenge-page"


# ── paywalls ────────────────────────────────────────────────────────────────────────────────────

TEASER = f"<h1>Bridge reopens</h1><p>{PARAGRAPHS[0]}</p><p>{PARAGRAPHS[1]}</p>"
STORY = "".join(f"<p>{line}</p>" for line in PARAGRAPHS)
PROMPTS = [
    "Subscribe to continue reading",
    "To read the rest of this story, log in or become a member.",
    "This article is for subscribers only.",
    "You have reached your limit of free articles this month.",
    "Sie haben bereits ein Abo? Dann melden Sie sich an.",
    "Jetzt abonnieren und weiterlesen",
    "Dieser Artikel ist nur für Abonnenten.",
    "Cet article est réservé aux abonnés",
    "Abonnez-vous pour lire la suite",
    "Suscríbete para seguir leyendo",
    "Conteúdo exclusivo para assinantes",
    "Assine para continuar lendo",
    "Abbonati per continuare a leggere",
    "Word lid om verder te lezen",
    "Logg inn for å lese videre",
    "Bli prenumerant och läs hela artikeln",
    "Zaloguj się, aby czytać dalej",
    "Оформите подписку, чтобы читать дальше",
    "Okumaya devam etmek için abone olun",
    "この記事は有料会員限定です",
    "登录后继续阅读",
]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_beginning_with_a_call_to_subscribe_is_a_paywall(prompt: str) -> None:
    assert is_prompt_to_pay(prompt)
    failed = rejected(html("", f"{TEASER}<div><h3>{prompt}</h3></div>"))
    assert failed.reason == "paywall"
    assert prompt in failed.message


@pytest.mark.parametrize(
    "line",
    [
        "Subscribe to our newsletter to read the full story in your inbox",
        "Already a subscriber? Log in",
        "Sign in",
        "Continue reading",
        "Weiterlesen",
        "Lire la suite",
        "The members of the council read this report before they signed up.",
        "Subscribe and get access to the full archive",
        "Die Mitglieder müssen diesen Beitrag bis zum Mai bezahlen.",
        "住民は登録の手続きを終えた。",
        "Follow us on Telegram to read the full text of the story",
    ],
)
def test_other_offers_are_no_paywall(line: str) -> None:
    assert not is_prompt_to_pay(line)
    result = extracted(html("", f"{TEASER}<div><h3>{line}</h3></div>"))
    assert isinstance(result, Article)


def test_a_call_to_subscribe_on_a_button_is_seen() -> None:
    button = "<form><button>Subscribe to continue reading</button></form>"
    assert rejected(html("", TEASER + button)).reason == "paywall"


def test_what_the_markup_hides_is_no_call_to_subscribe() -> None:
    hidden = "<div style='display: none'><h3>Subscribe to continue reading</h3></div>"
    result = extracted(html("", TEASER + hidden))
    assert isinstance(result, Article)


def test_a_label_on_many_cards_says_nothing_of_the_article() -> None:
    for title in ("", "<p>Le pont</p>"):
        cards = f"<div><h4>Article réservé aux abonnés</h4>{title}</div>" * 3
        assert isinstance(extracted(html("", TEASER + cards)), Article)


@pytest.mark.parametrize(
    "head",
    [
        json_ld({**STATED, "isAccessibleForFree": False}),
        json_ld({**STATED, "isAccessibleForFree": "False"}),
        json_ld(
            {
                **STATED,
                "hasPart": {
                    "@type": "WebPageElement",
                    "isAccessibleForFree": "false",
                    "cssSelector": ".rest",
                },
            }
        ),
        meta(article__content_tier="locked"),
    ],
)
def test_a_beginning_of_what_is_not_free_is_a_paywall(head: str) -> None:
    assert rejected(html(head, TEASER)).reason == "paywall"


def test_an_article_that_is_not_free_but_there_in_full_is_one() -> None:
    whole = "".join(f"<p>In part {part} {line}</p>" for part in "ABCDE" for line in PARAGRAPHS)
    head = json_ld({**STATED, "isAccessibleForFree": False})
    prompt = "<h3>Subscribe to continue reading</h3>"
    result = extracted(html(head, f"<h1>Bridge reopens</h1>{whole}{prompt}"))
    assert isinstance(result, Article)


def test_a_short_article_is_whole_if_it_has_the_words_that_the_page_states() -> None:
    head = json_ld({**STATED, "isAccessibleForFree": False, "wordCount": 55})
    result = extracted(html(head, TEASER))
    assert isinstance(result, Article)


def test_what_other_articles_of_the_page_cost_says_nothing() -> None:
    listed = {"@type": "NewsArticle", "headline": "Ferry sold", "isAccessibleForFree": False}
    head = json_ld({**STATED, "isAccessibleForFree": True}, listed)
    result = extracted(html(head, TEASER))
    assert isinstance(result, Article)


def test_a_longer_beginning_that_breaks_off_is_a_paywall() -> None:
    longer = [f"In part {part} {line}" for part in "ABC" for line in PARAGRAPHS]
    assert paywall_sign(longer, [], is_free=False) is None
    assert paywall_sign([*longer, "And then the mayor …"], [], is_free=False) is not None
    assert paywall_sign([*longer, "And then the mayor …"], []) is None


@pytest.mark.parametrize(
    "line",
    [
        "The paper will ask readers to subscribe before they can continue reading, its owner said.",
        "“You have reached your limit of free articles” is what the screen in the ferry shows now.",
        "Die Leser sollen ein Abo abschließen, um weiterzulesen, teilte der Verlag am Montag mit.",
        "L'article est réservé aux abonnés, a annoncé le journal du port.",
        "From May, readers must subscribe to continue reading the full story of the river.",
        "The anglers have until the end of May to register at the harbour, and can read the full "
        "text of the new rules of the river on its wall.",
        "A new law allows anglers to continue to register at the harbour until the summer.",
        "Log in to see all comments and to continue reading the debate",
        "Sign in to read this story offline",
        "Register to bookmark this article and read the full story on the ferry",
    ],
)
def test_reports_and_offers_of_other_things_are_no_prompt_to_pay(line: str) -> None:
    assert not is_prompt_to_pay(line)
    assert isinstance(extracted(html("", f"{TEASER}<p>{line}</p>")), Article)


def test_a_prompt_within_the_body_is_a_part_of_the_story() -> None:
    asked = "Subscribe to continue reading: so it stood on the wall of the ferry for a month."
    assert is_prompt_to_pay(asked)
    body = [PARAGRAPHS[0], asked, PARAGRAPHS[1]]
    assert paywall_sign(body, body) is None
    assert paywall_sign([*body, "Subscribe to continue reading"], body) is not None


def test_what_stands_beside_the_article_does_not_ask_to_pay_for_it() -> None:
    offer = "Subscribe to read the full story of the flood"
    for tag in ("aside", "footer", "nav"):
        content = html("", TEASER).replace("</body>", f"<{tag}><p>{offer}</p></{tag}></body>")
        assert isinstance(extracted(content), Article)
        within = html("", f"{TEASER}<{tag}><p>{offer}</p></{tag}>")
        assert rejected(within).reason == "paywall"


@pytest.mark.parametrize(
    "below",
    [
        ["To continue, please subscribe."],
        [
            "You have read your last free article.",
            "Bus late",
            "You have read your last free article.",
        ],
        ["To go on, log in", "Only 2 € for the first month"],
        ["Jetzt mit Plus weiterlesen", "Jederzeit kündbar", "Jetzt abonnieren"],
        ["Continue reading", "Subscribe now"],
        ["Diesen Bericht weiterlesen", "Mit einem Abo alles lesen"],
        ["Lire la suite", "Abonnez-vous dès 2 € par mois"],
        [
            "Subscribe to continue reading",
            "The town and the river",
            "Subscribe to continue reading",
        ],
    ],
)
def test_a_prompt_may_take_two_lines_or_stand_twice(below: list[str]) -> None:
    lines = "".join(f"<p>{line}</p>" for line in below)
    assert rejected(html("", TEASER + lines)).reason == "paywall"


CUT = "And then the mayor, who had walked across the bridge before all others, turned to …"


@pytest.mark.parametrize(
    "below",
    [
        ["Continue reading", "Subscribe to our channel"],
        ["Weiterlesen", "Abonnieren Sie unser Magazin"],
        ["Lire la suite", "Abonnez-vous à la lettre du soir"],
        ["Continue reading", "Ferry sold", "Lake calm", "Subscribe"],
    ],
)
def test_other_offers_beside_a_link_to_other_stories_are_no_prompt(below: list[str]) -> None:
    lines = "".join(f"<h4>{line}</h4>" for line in below)
    assert isinstance(extracted(html("", TEASER + lines)), Article)


@pytest.mark.parametrize("call", ["Subscribe now", "Get unlimited access for 1 € a week"])
def test_of_a_text_that_breaks_off_a_call_to_subscribe_is_enough(call: str) -> None:
    cut = f"{TEASER}<p>{CUT}</p>"
    assert rejected(html("", f"{cut}<h3>{call}</h3>")).reason == "paywall"
    assert isinstance(extracted(html("", f"{TEASER}<h3>{call}</h3>")), Article)


LONGER = [f"In part {part} {line}" for part in "AB" for line in PARAGRAPHS]
LONGEST = [f"In part {part} {line}" for part in "ABCDE" for line in PARAGRAPHS]
PROMPT = "Subscribe to continue reading"


def test_a_longer_beginning_right_above_a_prompt_is_a_paywall() -> None:
    assert paywall_sign(LONGER, [*LONGER, PROMPT]) is not None
    elsewhere = [PROMPT, *LONGER, "Ferry sold", "Lake calm", "Arch tested", "Bus late"]
    assert paywall_sign(LONGER, elsewhere) is None
    assert paywall_sign(LONGEST, [*LONGEST, PROMPT], is_free=False) is None


def test_a_longer_beginning_is_a_paywall_where_prompt_and_statement_agree() -> None:
    below = ["Share", "Save", "Print", "Bridges", "Floods", PROMPT]
    assert paywall_sign(LONGER, [*LONGER, *below]) is None
    assert paywall_sign(LONGER, [*LONGER, *below], is_free=False) is not None


def test_a_prompt_below_the_rest_of_a_story_says_nothing_of_what_was_found() -> None:
    shown = [*LONGER, "Ferries", *LONGEST, PROMPT]
    assert paywall_sign(LONGER, shown, is_free=False) is None


def test_a_longer_beginning_is_told_by_the_words_that_the_page_states() -> None:
    head = json_ld({**STATED, "isAccessibleForFree": False, "wordCount": 700})
    body = "".join(f"<p>{line}</p>" for line in LONGER)
    failed = rejected(html(head, f"<h1>Bridge reopens</h1>{body}"))
    assert failed.reason == "paywall"
    assert "of the 700 words" in failed.message
    assert paywall_sign(LONGER, LONGER, is_free=False) is None
    assert paywall_sign(LONGER, LONGER, is_free=False, stated_words=190) is None
    assert paywall_sign(LONGER, LONGER, stated_words=700) is None


def test_the_words_that_a_page_states_may_be_characters_where_no_spaces_are() -> None:
    line = "町は川にかかる古い橋を二年ぶりに開き、住民は歩いて渡り、船は湖に帰ったという。"
    assert paywall_sign([line] * 9, [line] * 9, is_free=False, stated_words=330) is None
    assert paywall_sign([line] * 9, [line] * 9, is_free=False, stated_words=900) is not None


def test_what_the_page_shows_and_was_not_found_is_no_lack_of_words() -> None:
    assert paywall_sign(LONGER, LONGEST, is_free=False, stated_words=450) is None


# ── pages instead of the page ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("404", "Sorry."),
        ("404 Not Found", "The page you are looking for does not exist."),
        ("Page not found | The Daily Example", "Try our latest stories, or search the archive."),
        ("The Daily Example", "Sorry, this page does not exist. Perhaps it has moved."),
        ("Seite nicht gefunden", "Die Seite wurde nicht gefunden."),
        ("Erreur 404", "La page que vous cherchez est introuvable."),
        ("La página no existe", "Vuelva a la portada."),
        ("Страница не найдена", "Вернитесь на главную."),
    ],
)
def test_an_error_page_of_a_successful_response_is_no_article(title: str, text: str) -> None:
    content = f"<html><head><title>{title}</title></head><body><p>{text}</p></body></html>"
    assert rejected(content).reason == "no-article"


def test_an_error_page_that_goes_on_is_told_by_its_title() -> None:
    more = f"<h1>Page not found</h1><p>{PARAGRAPHS[0]}</p><p>{PARAGRAPHS[1]}</p>"
    failed = rejected(html("<title>Page not found – The Daily Example</title>", more))
    assert failed.reason == "no-article"
    assert "error page" in failed.message


@pytest.mark.parametrize(
    "title",
    [
        "404 bridges need repair",
        "Link between ferry and flood not found",
        "Artikel 5 gilt nicht mehr",
        "Fant ikke broen for to år siden",
        "Di halaman rumah tidak ditemukan senjata",
        "No aparece la página que falta del informe",
    ],
)
def test_a_title_with_the_words_of_an_error_may_be_an_article_s(title: str) -> None:
    assert error_sign([title], PARAGRAPHS) is None


@pytest.mark.parametrize(
    "title",
    [
        "404: page after page of the chronicle is restored",
        "404 pages of the chronicle restored",
        "Lost page of the chronicle not found",
        "Article 12 of the charter does not exist, says mayor",
        "Chronicle: popular content no longer available from May",
        "Seite aus der Chronik nicht gefunden",
    ],
)
def test_the_title_of_a_story_may_tell_of_what_was_not_found(title: str) -> None:
    content = html(f"<title>{title}</title>", f"<h1>{title}</h1>{STORY}")
    assert isinstance(extracted(content), Article)


@pytest.mark.parametrize(
    "title",
    [
        "404 Not Found",
        "Error 404",
        "Page not found | The Daily Example",
        "Sorry, this page does not exist",
        "Seite nicht gefunden - Beispielblatt",
        "The page you are looking for does not exist",
        "Страница не найдена",
        "找不到页面",
    ],
)
def test_an_error_page_may_go_on_with_stories(title: str) -> None:
    assert error_sign([title], PARAGRAPHS) is not None
    assert error_sign([title], LONGER) is not None
    assert error_sign([title], LONGEST) is None
