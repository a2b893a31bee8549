from __future__ import annotations

import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.decoding import (
    BinaryContent,
    Decoded,
    UndecodableText,
    codec_for_label,
    decode_text,
    stated_charsets,
)

GERMAN = "Überfüllte Züge, müde Fahrgäste: Die Bahn kürzt ihr Angebot."
RUSSIAN = "Городской совет утвердил бюджет на следующий год после долгих споров. " * 8
JAPANESE = "市議会は長い議論の末、来年度の予算案を可決した。道路の補修が優先される。" * 6


def test_utf8_is_read_as_it_stands() -> None:
    assert decode_text(GERMAN.encode()) == Decoded(GERMAN, "utf-8", False)


def test_no_bytes_are_the_empty_text() -> None:
    assert decode_text(b"") == Decoded("", "utf-8", False)


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
    ],
)
def test_a_byte_order_mark_outranks_every_label(mark: bytes, encoding: str) -> None:
    content = mark + GERMAN.encode(encoding)
    assert decode_text(content, "windows-1251") == Decoded(GERMAN, encoding, False)


def test_the_charset_from_outside_outranks_the_one_inside() -> None:
    content = b'<meta charset="windows-1251"><p>' + "Žluťoučký kůň".encode("cp1250")
    decoded = decode_text(content, "windows-1250", html=True)
    assert decoded.text.endswith("Žluťoučký kůň")


@pytest.mark.parametrize(
    "head",
    [
        b'<meta charset="windows-1251">',
        b"<meta charset=cp1251>",
        b'<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">',
        b'<?xml version="1.0" encoding="windows-1251"?>',
    ],
)
def test_html_states_its_charset_inside(head: bytes) -> None:
    decoded = decode_text(head + RUSSIAN.encode("cp1251"), html=True)
    assert decoded.text.endswith(RUSSIAN)
    assert decoded.encoding == "windows-1251"


def test_a_charset_inside_a_text_that_is_no_html_is_not_looked_for() -> None:
    assert decode_text(b'<meta charset="windows-1251"> caf\xc3\xa9').encoding == "utf-8"


def test_a_stated_utf16_in_ascii_readable_html_means_utf8() -> None:
    assert stated_charsets(b'<meta charset="utf-16">') == ["utf-8"]


@pytest.mark.parametrize("label", ["latin-1", "ISO-8859-1", "us-ascii", "l1", "x-cp1252"])
def test_latin1_means_windows1252_as_in_browsers(label: str) -> None:
    decoded = decode_text(b"\x93caf\xe9\x94 \x96 10 \x80", label)
    assert decoded == Decoded("“café” – 10 €", "windows-1252", False)


def test_unassigned_bytes_of_windows1252_are_control_characters() -> None:
    assert decode_text(b"caf\xe9 \x81", "windows-1252").text == "café \x81"


def test_valid_utf8_is_not_read_as_the_single_byte_charset_a_server_claims() -> None:
    assert decode_text(GERMAN.encode(), "iso-8859-1") == Decoded(GERMAN, "utf-8", False)


@pytest.mark.parametrize("label", ["no-such-charset", "", "base64", "utf-7", "\0"])
def test_an_unknown_label_is_passed_over(label: str) -> None:
    assert decode_text(GERMAN.encode(), label).text == GERMAN


def test_a_few_broken_bytes_leave_the_rest_utf8() -> None:
    content = (GERMAN * 20).encode() + b" \x93quoted\x94 " + (GERMAN * 20).encode()
    assert decode_text(content) == Decoded(f"{GERMAN * 20} “quoted” {GERMAN * 20}", "utf-8", True)


def test_one_stray_byte_in_long_ascii_is_windows1252() -> None:
    content = b"The mayor spoke. " * 40 + b"It\x92s late." + b" Nobody left." * 40
    decoded = decode_text(content)
    assert "It’s late." in decoded.text
    assert decoded.repaired


def test_a_character_cut_at_the_end_is_dropped() -> None:
    assert decode_text("Zürich, 20 €".encode()[:-1]) == Decoded("Zürich, 20 ", "utf-8", True)


@pytest.mark.parametrize(
    ("text", "codec"), [(RUSSIAN, "cp1251"), (RUSSIAN, "koi8_r"), (JAPANESE, "cp932")]
)
def test_an_unstated_legacy_encoding_is_detected(text: str, codec: str) -> None:
    assert decode_text(text.encode(codec)).text == text


def test_seven_bit_japanese_is_told_from_ascii() -> None:
    assert decode_text(JAPANESE.encode("iso2022_jp")) == Decoded(JAPANESE, "iso-2022-jp", False)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_known_by_its_nuls(encoding: str) -> None:
    assert decode_text(GERMAN.encode(encoding)) == Decoded(GERMAN, encoding, False)


@pytest.mark.parametrize(
    "content",
    [b"\0" * 50, b"text \0\0\0 text", bytes(range(32)) * 20, b"\x1f\x8b\x08" + b"\x07" * 9],
)
def test_nuls_and_control_characters_mean_that_it_is_no_text(content: bytes) -> None:
    with pytest.raises(BinaryContent):
        decode_text(content)


def test_a_stray_nul_in_a_long_text_is_dropped() -> None:
    decoded = decode_text(b"words " * 1000 + b"\0" + b"more")
    assert decoded.text.endswith("words more")
    assert decoded.repaired


def test_bytes_that_no_encoding_fits_are_refused_with_their_number() -> None:
    with pytest.raises(UndecodableText, match="300 bytes"):
        decode_text(b"\x81\x8d\x90\xff\xfe\xf8" * 50)


@pytest.mark.parametrize("ending", ["\r\n", "\r", "\n"])
def test_line_ends_become_newlines(ending: str) -> None:
    assert decode_text(f"one{ending}{ending}two".encode()).text == "one\n\ntwo"


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("gb2312", "gb18030"),
        ("shift_jis", "cp932"),
        ("EUC-KR", "cp949"),
        ("ks_c_5601-1987", "cp949"),
        (" 'UTF8' ", "utf-8"),
        ("iso-8859-9", "cp1254"),
        ("tis-620", "cp874"),
        ("zlib", None),
    ],
)
def test_labels_mean_what_browsers_take_them_for(label: str, codec: str | None) -> None:
    assert codec_for_label(label) == codec


@pytest.mark.parametrize("wrong", ["latin-1", "windows-1252"])
def test_text_encoded_twice_is_read_back(wrong: str) -> None:
    text = "Die Kälte hält an, sagt Frau Müller – „bis März“."
    twice = b"".join(
        character.encode() if len(character.encode()) == 1 else _misread(character, wrong)
        for character in text
    )
    assert decode_text(twice) == Decoded(text, "utf-8", True)


def _misread(character: str, wrong: str) -> bytes:
    return b"".join(
        (bytes([byte]).decode(wrong, "ignore") or chr(byte)).encode() for byte in character.encode()
    )


def test_only_the_lines_that_were_encoded_twice_are_changed() -> None:
    decoded = decode_text("Café und Übung\nCafÃ© und Ãœbung\n".encode())
    assert decoded == Decoded("Café und Übung\nCafé und Übung\n", "utf-8", True)


@pytest.mark.parametrize(
    "text",
    [
        "Il dit\xa0: «\xa0c'est à\xa0l'été\xa0», près du café.",
        "A MAÇÃ E O PÃO DE SÃO JOÃO",
        "DIE GRÖSSE DES MÜLLS",
        "Tiếng Việt: đường, nước, người",
    ],
)
def test_clean_text_with_the_same_letters_is_left_alone(text: str) -> None:
    assert decode_text(text.encode()) == Decoded(text, "utf-8", False)


# Characters that text read in the wrong encoding is full of: leading bytes of UTF-8 in Latin-1.
TELLTALES = "".join(map(chr, range(0xC2, 0xF5)))


@settings(deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff" + TELLTALES))
)
def test_every_text_survives_utf8(text: str) -> None:
    decoded = decode_text(text.encode())
    assert decoded == Decoded(text, "utf-8", False)


@settings(deadline=None)
@given(st.binary(max_size=400), st.sampled_from([None, "latin-1", "utf-8", "gbk", "utf-16"]))
def test_any_bytes_are_decoded_or_refused(content: bytes, charset: str | None) -> None:
    try:
        decoded = decode_text(content, charset, html=True)
    except UndecodableText:
        return
    assert "\r" not in decoded.text
