"""Bytes in, text out: which character encoding content is in, and reading it with that.

The order of trust is that of the WHATWG Encoding Standard (https://encoding.spec.whatwg.org/) with
what archives of real pages add to it: a byte-order mark, the charset stated outside (HTTP header,
XML declaration), the charset stated inside (HTML ``meta``), UTF-8 where the bytes are valid UTF-8,
and last the statistics of charset-normalizer over a bounded sample. Labels mean what browsers take
them to mean, so ``latin-1`` is windows-1252. Text that was UTF-8 once, and was read as windows-1252
on its way here, is read back (by ftfy), line by line.

    >>> decode_text("Zürich\\r\\n".encode())
    Decoded(text='Zürich\\n', encoding='utf-8', repaired=False)
    >>> decode_text(b"caf\\xe9 au lait", "latin-1").text
    'café au lait'
    >>> decode_text("CafÃ© au lait".encode()).text
    'Café au lait'
"""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

import charset_normalizer
import ftfy

DETECTION_SAMPLE_BYTES = 16 * 1024
"""How much of the content charset-normalizer looks at: its cost grows with every byte."""

_SNIFFED_BYTES = 64 * 1024
_META_PRESCAN_BYTES = 4 * 1024
_MAX_NUL_SHARE = 0.001
_MAX_CONTROL_SHARE = 0.02
_MAX_REPLACED_SHARE = 0.01
_MAX_BROKEN_SHARE = 0.01
_MIN_SEQUENCES_AGAINST_MULTIBYTE = 8

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# Python codec name of a label -> the codec browsers use for it, a superset in every case.
_WHATWG = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "hz": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
    "utf-16": "utf-16-le",
    "utf-32": "utf-32-le",
}
# Labels of the standard that Python does not know.
_LABELS = {
    "x-sjis": "cp932",
    "x-gbk": "gb18030",
    "x-cp1250": "cp1250",
    "x-cp1251": "cp1251",
    "x-cp1252": "cp1252",
    "x-mac-cyrillic": "mac_cyrillic",
    "x-mac-roman": "mac_roman",
    "macintosh": "mac_roman",
    "iso-8859-8-i": "iso8859-8",
    "logical": "iso8859-8",
    "visual": "iso8859-8",
    "ks_c_5601-1987": "cp949",
    "x-euc-jp": "euc_jp",
    "x-x-big5": "big5hkscs",
    "x-user-defined": "cp1252",
    "unicode-1-1-utf-8": "utf-8",
    "utf8mb4": "utf-8",
}
# Codecs of Python that are no character encoding, or that no page is in on purpose.
_NOT_TEXT_CODECS = frozenset(
    {"base64", "bz2", "hex", "idna", "mbcs", "oem", "palmos", "punycode", "quopri"}
    | {"raw-unicode-escape", "rot13", "undefined", "unicode-escape", "uu", "zlib", "utf-7"}
)
_NAMES = {
    "big5hkscs": "big5",
    "cp874": "windows-874",
    "cp932": "shift_jis",
    "cp949": "euc-kr",
    "euc_jp": "euc-jp",
    "iso2022_jp": "iso-2022-jp",
    "koi8_r": "koi8-r",
    "koi8_u": "koi8-u",
    "cp866": "ibm866",
    "mac_cyrillic": "x-mac-cyrillic",
    "mac-cyrillic": "x-mac-cyrillic",
    "mac-roman": "macintosh",
}
_MULTIBYTE = frozenset({"gb18030", "cp932", "cp949", "big5hkscs", "euc_jp", "iso2022_jp"})

# What charset-normalizer may answer: encodings that the standard lists. Left to itself it also
# answers with EBCDIC and DOS code pages, which no page on the web is in.
_DETECTABLE = (
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258"),
    *("cp874", "iso8859_2", "iso8859_5", "iso8859_7", "koi8_r", "koi8_u", "cp866"),
    *("gb18030", "big5hkscs", "cp932", "euc_jp", "cp949"),
)

_META_CHARSET = re.compile(
    rb"""<meta[^>]{0,300}?charset\s*=\s*["']?\s*([A-Za-z0-9_:.\-]{2,40})""", re.IGNORECASE
)
_XML_ENCODING = re.compile(
    rb"""\A\s{0,32}<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9_:.\-]{2,40})""",
    re.IGNORECASE,
)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1a\x1b")) + b"\x7f"
_ESCAPED_JAPANESE = re.compile(rb"\x1b(?:\$[@B]|\([BIJ])")
_LINE_WITH_HIGH_BYTES = re.compile(rb"[^\n]{0,400}[\x80-\xff][^\n]{0,400}\n?")


class Decoded(NamedTuple):
    """Text, the encoding it was read with, and whether any of it had to be repaired."""

    text: str
    """With ``\\n`` as its only line ending and no byte-order mark."""
    encoding: str
    """WHATWG name in lower case, such as ``utf-8`` or ``windows-1252``."""
    repaired: bool
    """Whether bytes were dropped, replaced or read with another encoding than the rest."""


class UndecodableText(ValueError):  # noqa: N818 - it is what the data is
    """The bytes are no text in any encoding that pages are written in."""


class BinaryContent(UndecodableText):
    """The bytes are not meant to be text: NUL bytes or control characters throughout."""


def decode_text(content: bytes, charset: str | None = None, *, html: bool = False) -> Decoded:
    """Read bytes as text.

    Args:
        content: the bytes; empty ones are the empty text.
        charset: label stated outside the content, such as by an HTTP header; a label that is
            unknown, or that the bytes contradict, is passed over.
        html: whether to look for a charset stated inside (``meta``, XML declaration).

    Raises:
        BinaryContent: the bytes are not text at all.
        UndecodableText: no encoding fits them.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return _decode_marked(content[len(mark) :], encoding)
    guessed_width = _unmarked_utf16(content)
    if guessed_width is not None:
        return _decode_marked(content, guessed_width)
    stray_nuls = _check_not_binary(content)
    if stray_nuls:
        content = content.replace(b"\0", b"")

    utf8 = _decode_utf8(content)
    stated = [charset] if charset else []
    if html:
        stated += stated_charsets(content)
    for label in stated:
        decoded = _decode_as_stated(content, label, utf8)
        if decoded is not None:
            return _finished(*decoded, repaired_before=stray_nuls)
    if utf8 is not None:
        return _finished(*utf8, repaired_before=stray_nuls)
    return _finished(*_decode_by_detection(content), repaired_before=stray_nuls)


def stated_charsets(content: bytes) -> list[str]:
    """Labels that an HTML or XML document states about itself, in the order they count.

    A ``meta`` that states UTF-16 could only be read if it were wrong, and is taken for UTF-8
    (WHATWG HTML, "prescan a byte stream to determine its encoding").
    """
    head = content[:_META_PRESCAN_BYTES]
    labels = [
        match.group(1).decode("ascii")
        for match in (_META_CHARSET.search(head), _XML_ENCODING.search(head))
        if match is not None
    ]
    return ["utf-8" if label.lower().startswith("utf-16") else label for label in labels]


def codec_for_label(label: str) -> str | None:
    """Name of the Python codec that browsers' meaning of an encoding label asks for, if known."""
    cleaned = label.strip().strip("\"'").lower()
    if cleaned in _LABELS:
        return _LABELS[cleaned]
    try:
        name = codecs.lookup(cleaned).name
    except (LookupError, ValueError):  # ValueError: a NUL in the label
        return None
    return None if name in _NOT_TEXT_CODECS else _WHATWG.get(name, name)


def _decode_marked(content: bytes, encoding: str) -> Decoded:
    """Decode what a byte-order mark or the pattern of its NUL bytes has told the encoding of."""
    if encoding == "utf-8":
        decoded = _decode_utf8(content)
        if decoded is None:
            decoded = _reread_broken_bytes(content)[0], "utf-8", True
        return _finished(*decoded)
    text = content.decode(encoding, "replace")
    if text.count("\ufffd") > 1 + _MAX_REPLACED_SHARE * len(text):
        raise UndecodableText(
            f"{len(content):,} bytes look like {encoding.upper()}, but {text.count(chr(0xFFFD)):,} "
            f"of {len(text):,} characters cannot be read"
        )
    damaged = "\ufffd" in text
    if damaged and text.endswith("\ufffd"):
        text = text[:-1]  # cut in the middle of a character
    if "\0" in text:
        raise BinaryContent(f"{text.count(chr(0)):,} NUL characters in what looked like {encoding}")
    return _finished(text, encoding, damaged)


def _unmarked_utf16(content: bytes) -> str | None:
    """``utf-16-le`` or ``utf-16-be`` where NULs fill every other byte, as Latin text in it does."""
    sample = content[:_SNIFFED_BYTES]
    if len(sample) < 4 or b"\0" not in sample:
        return None
    even, odd = sample[0::2], sample[1::2]
    even_nuls, odd_nuls = even.count(0) / len(even), odd.count(0) / len(odd)
    encoding = None
    if odd_nuls > 0.4 and even_nuls < 0.02:
        encoding, low_bytes = "utf-16-le", even
    elif even_nuls > 0.4 and odd_nuls < 0.02:
        encoding, low_bytes = "utf-16-be", odd
    if encoding is not None and _control_share(low_bytes) > _MAX_CONTROL_SHARE:
        return None
    return encoding


def _control_share(sample: bytes) -> float:
    return (len(sample) - len(sample.translate(None, _CONTROLS))) / max(1, len(sample))


def _check_not_binary(content: bytes) -> bool:
    """Whether stray NUL bytes are to be dropped; raises for content that is full of them."""
    nuls = content.count(0)
    if nuls > _MAX_NUL_SHARE * len(content):
        raise BinaryContent(f"{nuls:,} of its {len(content):,} bytes are NUL")
    sample = content[:_SNIFFED_BYTES]
    share = _control_share(sample)
    if share > _MAX_CONTROL_SHARE:
        raise BinaryContent(
            f"{share:.0%} of its first {len(sample):,} bytes are control characters "
            f"(text has at most {_MAX_CONTROL_SHARE:.0%})"
        )
    return nuls > 0


def _decode_as_stated(
    content: bytes, label: str, utf8: tuple[str, str, bool] | None
) -> tuple[str, str, bool] | None:
    """The content as its label says, or None where the bytes contradict the label."""
    codec = codec_for_label(label)
    if codec is None:
        return None
    if codec in {"utf-8", "utf-8-sig"}:
        return utf8
    if codec.startswith(("utf-16", "utf-32")):
        return None  # without NUL bytes it is neither
    if utf8 is not None and not utf8[2] and _is_rather_utf8(utf8[0], codec):
        return utf8
    text, replaced = _decode_leniently(content, codec)
    if replaced > 1 + _MAX_REPLACED_SHARE * len(text):
        return None
    return text, codec, replaced > 0


def _is_rather_utf8(text: str, codec: str) -> bool:
    """Whether bytes that are valid UTF-8 should not be read as the legacy encoding they claim.

    Legacy text is valid UTF-8 by accident only where it has hardly any character beyond ASCII; a
    server that states its default charset for every file is far more common. Two-byte encodings
    meet UTF-8's pattern more easily, so more evidence is asked for.
    """
    needed = _MIN_SEQUENCES_AGAINST_MULTIBYTE if codec in _MULTIBYTE else 1
    if text.isascii():
        # Nothing to decide, except that ISO-2022-JP is ASCII bytes that mean something else.
        return codec != "iso2022_jp"
    return sum(1 for character in text if character > "\x7f") >= needed


def _decode_leniently(content: bytes, codec: str) -> tuple[str, int]:
    """Text and the number of characters that had to be replaced."""
    if codec == "cp1252":
        return _decode_windows1252(content), 0
    try:
        return content.decode(codec), 0
    except UnicodeDecodeError:
        text = content.decode(codec, "replace")
        return text, text.count("\ufffd")


def _decode_windows1252(content: bytes) -> str:
    """Windows-1252 as the standard has it: its five unassigned bytes are C1 controls."""
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError:
        return "".join(_WINDOWS_1252[byte] for byte in content)


_WINDOWS_1252 = [bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(256)]


def _decode_utf8(content: bytes) -> tuple[str, str, bool] | None:
    """The content as UTF-8, a few broken bytes re-read as windows-1252; None if it is not UTF-8."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        # Seven-bit Japanese is valid UTF-8, too, and full of escape sequences.
        if "\x1b" in text and _ESCAPED_JAPANESE.search(content) and text.isascii():
            japanese, replaced = _decode_leniently(content, "iso2022_jp")
            if not replaced:
                return japanese, "iso2022_jp", False
        return text, "utf-8", False
    tail = _incomplete_tail_bytes(content)
    if tail:
        try:
            return content[:-tail].decode("utf-8"), "utf-8", True
        except UnicodeDecodeError:
            pass
    text, valid_sequences, broken_bytes = _reread_broken_bytes(content)
    # Few broken bytes against the characters that are intact, or against everything: text with
    # so little beyond ASCII is in a language whose legacy encoding is windows-1252.
    if broken_bytes * 4 <= valid_sequences or (
        broken_bytes <= _MAX_BROKEN_SHARE * len(content) and valid_sequences >= broken_bytes
    ):
        return text, "utf-8", True
    if broken_bytes <= _MAX_BROKEN_SHARE / 5 * len(content):
        return text, "utf-8", True
    return None


def _incomplete_tail_bytes(content: bytes) -> int:
    """How many bytes at the end start a UTF-8 character without finishing it."""
    for length in range(1, min(3, len(content)) + 1):
        byte = content[-length]
        if byte & 0xC0 == 0x80:
            continue
        needed = 2 if byte & 0xE0 == 0xC0 else 3 if byte & 0xF0 == 0xE0 else 4
        return length if byte >= 0xC2 and byte <= 0xF4 and length < needed else 0
    return 0


def _reread_broken_bytes(content: bytes) -> tuple[str, int, int]:
    """Text with broken bytes read as windows-1252; valid multi-byte characters; broken bytes."""
    # surrogateescape turns each undecodable byte B, and nothing else, into U+DC00+B.
    escaped = content.decode("utf-8", "surrogateescape")
    broken = 0
    valid = 0
    pieces = []
    for part in re.split("([\udc80-\udcff]+)", escaped):
        if part and "\udc80" <= part[0] <= "\udcff":
            broken += len(part)
            pieces.append("".join(_WINDOWS_1252[ord(character) - 0xDC00] for character in part))
        else:
            valid += len(part) - len(part.encode("ascii", "ignore"))
            pieces.append(part)
    return "".join(pieces), valid, broken


def _decode_by_detection(content: bytes) -> tuple[str, str, bool]:
    """The content in the encoding that charset-normalizer finds most plausible."""
    sample = bytearray()
    for match in _LINE_WITH_HIGH_BYTES.finditer(content):
        sample += match.group()
        if len(sample) >= DETECTION_SAMPLE_BYTES:
            break
    best = charset_normalizer.from_bytes(
        bytes(sample[:DETECTION_SAMPLE_BYTES]),
        cp_isolation=list(_DETECTABLE),
        preemptive_behaviour=False,
        enable_fallback=False,
    ).best()
    if best is not None:
        text, replaced = _decode_leniently(content, best.encoding)
        if replaced <= 1 + _MAX_REPLACED_SHARE * len(text):
            return text, best.encoding, replaced > 0
    high_bytes = len(content) - len(content.translate(None, bytes(range(128, 256))))
    if high_bytes <= 0.1 * len(content):
        # Mostly ASCII with something odd in between: readable, and said to be repaired.
        return _decode_windows1252(content), "cp1252", True
    raise UndecodableText(
        f"no character encoding fits its {len(content):,} bytes, {high_bytes:,} of them not ASCII"
    )


# A character of several bytes in UTF-8, each byte taken for a character of windows-1252. The last
# two are what is left of "à" and of quotation marks where a byte was lost on the way.
_CONTINUATION = "".join(bytes([byte]).decode("cp1252", "ignore") for byte in range(0x80, 0xC0))
_CONTINUATION = rf"[\x80-\xbf{re.escape(_CONTINUATION)}]"
_TWICE_ENCODED = re.compile(
    rf"[\xc2-\xdf]{_CONTINUATION}|[\xe0-\xef]{_CONTINUATION}{{2}}|[\xf0-\xf4]{_CONTINUATION}{{3}}"
    r"|Ã |â€"
)
# A piece of a line without end is not parted between the bytes of one character.
_LINE = re.compile(r"[^\n]{1,2000}[^\x00-\x7f]{0,100}")
_ENCODING_ONLY = ftfy.TextFixerConfig(fix_c1_controls=False)


def _reread_twice_encoded(text: str) -> str:
    """Read back what was UTF-8, was taken for windows-1252 and encoded once more.

    ftfy judges each line by itself, for a page may quote broken text or be pieced together. Lines
    without the telltale pairs, which is every line of clean text, are not looked at.
    """
    if text.isascii() or _TWICE_ENCODED.search(text) is None:
        return text
    return _LINE.sub(_reread_line, text)


def _reread_line(line: re.Match[str]) -> str:
    if line[0].isascii() or _TWICE_ENCODED.search(line[0]) is None:
        return line[0]
    return ftfy.fix_encoding(line[0], config=_ENCODING_ONLY)


def _finished(text: str, codec: str, repaired: bool, *, repaired_before: bool = False) -> Decoded:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    reread = _reread_twice_encoded(text)
    if reread != text:
        text, repaired = reread, True
    name = _NAMES.get(codec, codec)
    if name.startswith("cp125"):
        name = f"windows-{name[2:]}"
    elif name.startswith("iso8859"):
        name = f"iso-8859{name[7:].replace('_', '-')}"
    return Decoded(text.removeprefix("\ufeff"), name, repaired or repaired_before)
