"""Names of hosts, mailboxes, machines and accounts: what is one, in its one spelling, and what only looks like one.

Each check is given the text that a pattern found, with a little of what stands before and after it, because most
mistakes are told by their surroundings: `log.info` is no host, `version 10.2.1.4` no address, `std::abc` neither.

Source: RFC 1035 and 5890 (names), RFC 5321 (mailboxes), RFC 3986 (URLs), RFC 4291 (IPv6), MS-DTYP 2.4.2 (SIDs).
Limits: host names in other scripts than Latin only as punycode; a bare host name only under a top level that is not
also a common suffix or method (`.py`, `.info`): after `//`, `@` or `www.` any is taken.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache


def _words(text: str) -> list[str]:
    return text.split()


_COUNTRIES = frozenset(
    _words("""
ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cc
cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga
gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp
ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms
mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro
rs ru rw sa sb sc sd se sg sh si sj sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr
tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw
""")
)
_GENERIC = frozenset(
    _words("""
com net org edu gov mil int arpa biz info name pro aero asia cat coop jobs mobi museum post tel travel xxx app
art beer blog cafe cam center chat city click cloud club company cool design dev digital email fans film fit
fun games global group host icu ink kim life link live ltd luxe market media men mom monster network news
ninja one online page party photo pics plus press pub quest red ren rest rocks run sale school shop show site
social software space store studio style support systems tech today tokyo top trade tube video vip wang wiki
win work works world wtf xin xyz yoga zone onion example
""")
)
_PRIVATE = frozenset(("local", "lan", "intranet", "internal", "corp", "home", "localdomain", "test", "invalid"))
_CLEAR = frozenset(
    _words("""
com net org edu gov mil biz aero asia mobi onion example film icu studio ninja wang vip tokyo tech ae ar au bg
br ch cl cn cz de dk ec ee eg es eu fi fr gr hk hr hu ie il ir jp ke kh kp kr kz lt lv mn mx nl nz pe ph pk pt
ro ru sa se sg sk su th tr tw ua uk uz vn za
""")
)
"""Top levels that stand for nothing else where a name stands alone."""
_SECOND = frozenset(("com", "co", "net", "org", "edu", "ac", "gov", "go", "or", "ne", "re"))
_NEAR = 32
"""Characters in which a word says what follows it."""
_LONGEST_URL = 4096
_LONGEST_NAME = 64
"""Characters of an account's name."""
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LOCAL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.+'%-]{0,62}[A-Za-z0-9_+-])?")
_MESSAGE = re.compile(
    r"(?i)(?:message[-_ ]?id|references|in[-_]reply[-_]to|cid:|resent-.{0,12})"
    r"(?:[^@]*|\W*(?:<[^<>\s]{1,300}>[\s,]{0,9})+<)$"
)
"""What stands before the id of a message: a header, or a header and other ids."""
_BARE_MESSAGE = re.compile(r"(?i)(?:message[-_ ]?id|in[-_]reply[-_]to)[\"']?[ \t]{0,4}[:=]?[ \t]{0,4}[\"']?$")
_IN_AUTHORITY = re.compile(r"://[^/?#\s]*$")
_WORD = re.compile(r"(?a)\w$")
_VERSION = re.compile(
    r"(?i)(?:\bv|\bver|versi[oó]n|version_?(?:number|string)?|版本|버전|バージョン|\brev|revision|build|release|firmware"
    r"|\boid|section|§|chapter|第|[a-z]-|[a-z]/)[\s\"'.:=({\[>]{0,4}$"
)
_ADDRESSED = re.compile(
    r"(?i)(?:\bip|addr|address|host|server|dns|ping|from|gateway|proxy|client|地址|服务器|주소|서버|アドレス|://|@|\[)"
    r"[\w \"'.:=({\[>]{0,8}$"
)
_PUBLIC = frozenset(("1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9", "4.2.2.1", "4.2.2.2"))
_PAGE = re.compile(r"(?i)\.(?:html?|php|aspx?|jsp|png|jpe?g|js|css|txt|ini|zip|exe)$")
_DECIMAL = re.compile(r"(?:^|[^\d.])\d*\.\d+[ ,]-?$")
"""A number with decimals before it: drawings are full of them, written without spaces where a sign or point parts."""
_ARCS = ([1, 2], [1, 3], [2, 5], [2, 16])
"""How identifiers of objects (OIDs) begin."""
_NOBODY = frozenset((
    "public", "default", "all users", "default user", "defaultuser0", "shared", "guest", "user", "username", "name",
    "localservice", "networkservice", "systemprofile", "you", "yourname", "xxx", "desktop.ini",
))  # fmt: skip


def host(name: str) -> str | None:
    """A host's name in small letters, where its labels are sound and its top level is one."""
    return _host(name) if len(name) <= 253 else None


@lru_cache(maxsize=65_536)
def _host(name: str) -> str | None:
    small = name.lower()
    labels = small.split(".")
    top = labels[-1]
    known = top in _COUNTRIES or top in _GENERIC or top in _PRIVATE or top.startswith("xn--")
    if len(labels) < 2 or not known:
        return None
    return small if all(map(_LABEL.fullmatch, labels)) else None


def domain(text: str, before: str, after: str) -> str | None:
    """A host's name that stands alone, in a URL or in an address."""
    name = host(text)
    if name is None or after[:1] in ("(", "_", "@", "=", "\\", "[") or (after[:1] == "-" and after[1:2].isalnum()):
        return None
    last = before[-1:]
    led = last == "@" or before.endswith(("//", "\\\\")) or name.startswith("www.") or ":" in last
    if last in ("/", "\\", ".", "-", "_", "%", "~", "$", "&") and not led:
        return None
    labels = name.split(".")
    if led and last != ":":
        return name if labels[-1] not in _PRIVATE or last in ("@", "/", "\\") else None
    if text not in (name, name.upper()) and not text.endswith(labels[-1]):
        return None
    second = len(labels) > 2 and labels[-1] in _COUNTRIES and labels[-2] in _SECOND
    return name if (labels[-1] in _CLEAR or second) and not labels[-2].isdecimal() else None


def email(text: str, before: str, after: str) -> str | None:
    """A mailbox in small letters; the ids of messages and the accounts in URLs are none."""
    local, _, name = text.rpartition("@")
    if not _LOCAL.fullmatch(local) or ".." in local or _IN_AUTHORITY.search(before) or after[:1] == "@":
        return None
    if _BARE_MESSAGE.search(before):
        return None
    if before.endswith("<") or "cid:" in before[-6:]:
        digits = sum(char.isdecimal() for char in local)
        if _MESSAGE.search(before) or (len(local) > 20 and digits > 6):
            return None
    name = name.rstrip(".-")
    found = host(name)
    if found is None and name.rpartition(".")[2][:1].isupper():  # the next sentence, without a space
        found = host(name.rpartition(".")[0])
    return f"{local.lower()}@{found}" if found else None


def url(text: str, before: str, after: str) -> str | None:
    """A URL with a host that there can be, without the punctuation behind it; scheme and host in small letters."""
    if len(text) > _LONGEST_URL:
        return None
    text = text.partition("](")[0].rstrip(".,;:!?'*&")  # the text of a link before its target
    while text and text[-1] in ")]}" and text.count(text[-1]) > text.count("([{"[")]}".index(text[-1])]):
        text = text[:-1].rstrip(".,;:!?'*&")
    scheme, _, rest = text.partition("://")
    authority, mark, tail = _split_authority(rest)
    account, at, place = authority.rpartition("@")
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::\d{1,5})?", place)
    if match is None or _WORD.search(before):
        return None
    name = match[1]
    sound = host(name) or _ip(name.strip("[]")) or (_LABEL.fullmatch(name.lower()) and len(name) > 2)
    return f"{scheme.lower()}://{account}{at}{place.lower()}{mark}{tail}" if sound else None


def _split_authority(rest: str) -> tuple[str, str, str]:
    match = re.search(r"[/?#]", rest)
    return (rest[: match.start()], match[0], rest[match.end() :]) if match else (rest, "", "")


def _ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def ipv4(text: str, before: str, after: str) -> str | None:
    """An address of four octets; one of small numbers only where its surroundings speak of hosts."""
    before = before[-_NEAR:]
    parts = text.split(".")
    if any((len(part) > 1 and part[0] == "0") or int(part) > 255 for part in parts):
        return None
    octets = [int(part) for part in parts]
    if not 0 < octets[0] < 240 or before[-1:] in (".", "-", "_") or _WORD.search(before):
        return None
    if re.match(r"(?a)\.\w|[A-Za-z_%]|-[A-Za-z]|-\d+\.\d+(?!\.)", after) or _VERSION.search(before):
        return None
    if octets[1:] == [0, 0, 0] and after[:1] != "/":
        return None
    like_another = max(octets) < 40 or octets[:2] in _ARCS or _DECIMAL.search(before)
    if like_another and octets[0] not in (10, 127) and text not in _PUBLIC:
        return text if _ADDRESSED.search(before) or re.match(r":\d{2,5}\b|/\d{1,2}\b", after) else None
    return text


def ipv6(text: str, before: str, after: str) -> str | None:
    """An address of eight groups, in its short form; local ones too, but nothing that only has colons."""
    if _WORD.search(before) or before[-1:] in (":", "_", ".") or re.match(r"(?a)[\w:]|\.\d", after):
        return None
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    first = text.partition(":")[0]
    wide = len(first) == 4 and (address.is_global or address.is_link_local or first[:2].lower() in ("fc", "fd", "20"))
    if not (wide or address.is_loopback or address.ipv4_mapped) or not any(char.isdecimal() for char in text):
        return None
    return address.compressed


def mac(text: str, before: str, after: str) -> str | None:
    """A hardware address, in small letters with colons."""
    if _WORD.search(before) or before[-1:] in (":", "-", "_", ".") or re.match(r"(?a)\w|[:.-][0-9A-Fa-f]", after):
        return None
    if "." in text and text != text.lower():
        return None  # switches print small letters; tables of characters do not
    digits = re.sub(r"[^0-9a-f]", "", text.lower())
    groups = [digits[at : at + 2] for at in range(0, 12, 2)]
    if digits.isdecimal() and ("-" in text or "." in text or all(group < "60" for group in groups)):
        return None  # dates and times
    return ":".join(groups) if len(set(groups)) > 1 and len({char for char in text if char in ":-."}) == 1 else None


def sid(text: str, before: str, after: str) -> str | None:
    """A Windows security identifier."""
    parts = [int(part) for part in text.split("-")[2:]]
    fits = parts[0] < 1 << 48 and all(part < 1 << 32 for part in parts[1:])
    return text.upper() if fits and not _WORD.search(before) and not re.match(r"(?a)-?\w", after) else None


def guid(text: str, before: str, after: str) -> str | None:
    """A globally unique identifier in small letters; those of one digit over and over are none."""
    clear = not re.search(r"(?a)[\w-]$", before) and not re.match(r"(?a)-?\w", after)
    return text.lower() if clear and len(set(text.lower())) > 4 else None


def user(text: str, before: str, after: str) -> str | None:
    """The account whose folder a path goes through."""
    if text[:1] == "/":
        if re.search(r"(?a)[\w.~})%*-]$", before) or (before[-1:] in ('"', "'", "=") and after[:1] != "/"):
            return None
        name = text.split("/")[2]
    else:
        name = re.split(r"[\\/]+", text)[2]
        name = name if after[:1] in ("\\", "/") else name.split(" ")[0]
    name = name.rstrip(" .")
    refused = (
        not 0 < len(name) <= _LONGEST_NAME or name.lower() in _NOBODY or name[0] in "%$<{[(*.~-" or _PAGE.search(name)
    )
    return None if refused else name
