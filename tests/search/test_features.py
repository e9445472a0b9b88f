"""Features: each type found and refused, counted, kept once a reading, and asked for as fields."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cli.runs import ingest_sources, limits_of
from indexer.errors import StoreError, UsageError
from indexer.model import Field, Item, Reading, Source, Text
from search import _validators, featuring
from search._candidates import KINDS, TYPES, features_in
from search.answers import ask
from search.case import FEATURES, Case
from search.exporting import TABLES, export
from search.features import Stops, features
from search.featuring import due, update
from search.homes import users_in

MONERO = "888tNkZrPN6JsEgekjMnABU4TBzc2Dt29EPAvkRxbANsAnjyPbb3iQ1YBRk1UXcdRsiKc9dhwMVgN5S9cQUiyoogDavup3H"
SIGNS = {
    "email": [
        ("mail Ann.Lee+x@Studio.Example.", "ann.lee+x@studio.example"),
        ("请联系ann@studio.example，谢谢", "ann@studio.example"),
        ("mailto:bo@cut.kp>", "bo@cut.kp"),
        ("write to bo@cut.com.Then wait", "bo@cut.com"),
    ],
    "url": [
        ("访问https://www.cut.cn/a?x=1。", "https://www.cut.cn/a?x=1"),
        ("(see HTTP://Studio.Example/A_(b)).", "http://studio.example/A_(b)"),
        ("smb://server1/share", "smb://server1/share"),
        ("[a](https://cut.example/b) c", "https://cut.example/b"),
        ("http://[2001:db8::1]:80/x", "http://[2001:db8::1]:80/x"),
    ],
    "domain": [
        ("主页www.cut.cn看", "www.cut.cn"),
        ("ann@mail.cut.example", "mail.cut.example"),
        ("host=nas.studio.example;", "nas.studio.example"),
        ("http://cut.py/x", "cut.py"),
        ("shop.cut.co.in", "shop.cut.co.in"),
    ],
    "ipv4": [
        ("from 175.45.176.3 to", "175.45.176.3"),
        ("地址：10.0.0.5，", "10.0.0.5"),
        ("ping 1.2.3.4", "1.2.3.4"),
        ("1.2.3.4:8080", "1.2.3.4"),
        ("8.8.8.8", "8.8.8.8"),
    ],
    "ipv6": [
        ("a fe80::1ff:fe23:4567:890a b", "fe80::1ff:fe23:4567:890a"),
        ("[2001:DB8:0:0:0:0:0:1]", "2001:db8::1"),
    ],
    "mac": [("00-1A-2b-3c-4D-5e", "00:1a:2b:3c:4d:5e"), ("001a.2b3c.4d5e", "00:1a:2b:3c:4d:5e")],
    "phone": [
        ("+850 2 381 4410", "+85023814410"),
        ("电话13800138000。", "+8613800138000"),
        ("手机：138-0013-8000", "+8613800138000"),
        ("연락처 010-1234-5678", "+821012345678"),
        ("電話は03-1234-5678です", "+81312345678"),
        ("call +44 20 8366 1177 2024", "+442083661177"),
    ],
    "qq": [("我的QQ：123456789，", "123456789"), ("QQ号码是 55555", "55555"), ("777888@qq.com", "777888")],
    "wechat": [
        ("微信号: ann_lee99", "ann_lee99"),
        ("加微信号：annlee", "annlee"),
        ("wxid_abcdef123456", "wxid_abcdef123456"),
    ],
    "resident": [("身份证11010519491231002X。", "11010519491231002X"), ("11010519491231002x", "11010519491231002X")],
    "credit": [("代码91350100M000100Y43，", "91350100M000100Y43")],
    "iban": [("DE89 3704 0044 0532 0130 00 BIC", "DE89370400440532013000")],
    "card": [("卡号4111 1111 1111 1111", "4111111111111111"), ("378282246310005", "378282246310005")],
    "bitcoin": [
        ("to 1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2.", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"),
        ("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
        (
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        ),
    ],
    "ethereum": [("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")],
    "tron": [("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t")],
    "monero": [(MONERO, MONERO)],
    "user": [
        (r"C:\Users\김철수\Desktop", "김철수"),
        (r"c:\\users\\Ann Lee\\x", "Ann Lee"),
        (r"C:\Users\ann is here", "ann"),
        ("文件在/home/bo/x", "bo"),
        ("/Users/eve/Library", "eve"),
        ("file:///C:/Users/eve/x", "eve"),
    ],
    "sid": [("S-1-5-21-1004336348-1177238915-682003330-1001", "S-1-5-21-1004336348-1177238915-682003330-1001")],
    "guid": [("{6B29FC40-CA47-1067-B31D-00DD010662DA}", "6b29fc40-ca47-1067-b31d-00dd010662da")],
}
NOISE = {
    "email": [
        "icon@2x.png", "image001.png@01D9F2AB.12345678", "a@b", "..@x.com", "Message-ID: <77.abc@mail.cut.com>",
        "mail.message_id: 77.abc@mail.cut.com", "References: <77.a@mail.cut.com> <78.b@mail.cut.com>",
        "<20240105101112.9A8B7C@mail.cut.com>", "https://ann:secret@cut.example/x", "a..b@cut.com", "@decorator.cn",
    ],
    "url": ["http://%s/x", "http://{host}/", "https://", "http://a", "xhttp://cut.com"],
    "domain": [
        "log.info", "main.py", "foo.cn(x)", "self.foo.de_x", "C:/a.b/lib.de", "done.it", "ended.In the", "v1.2.de",
        "a.b.c.py", "1.cn", "x-.com", "cut.abcde", "item.name",
    ],
    "ipv4": [
        "version 10.2.1.4", "v2.30.41.50", "Version=4.100.0.1", "1.2.3.4", "1.3.6.1.4.1", "1.3.101.112", "256.1.1.1",
        "01.2.3.4", "0.0.0.0", "255.255.255.0", "10.0.0.1-beta", "1.2.3.4.5", "2.83-2.12 3.51.98.32", "版本 60.0.2.1",
    ],
    "ipv6": ["12:30:45", "std::abc", "dead::beef", "a::b", "::", "00:11:22:33:44:55:66:77", "2001:db8::1::2"],
    "mac": ["20-24-01-05-10-30", "01:02:03:04:05:06", "00:00:00:00:00:00", "00:1a-2b:3c-4d:5e",
        "[*0676.0020.001E]", "00:1a:2b:3c:4d:5e:6f"],
    "phone": [
        "13800138000", "+1 234", "113800138000", "138001380001", "+20240105", "id=13800138000", "12800138000 电话",
        "3.13800138000 号", "2024-0105-1234 电话",
    ],
    "qq": ["123456789", "QQ20240105", "QQ 1234", "faqq 123456", "qq123456abc", "QQ号 012345"],
    "wechat": ["WeChat: download now", "wechat is great", "微信 hello", "wxid_short", "vx=abcdefg"],
    "resident": ["110105194912310021", "11010519491331002X", "0011010519491231002X", "11010519490230002X"],
    "credit": ["91350100M000100Y44", "A91350100M000100Y43", "01350100M000100Y43"],
    "iban": ["DE89 3704 0044 0532 0130 01", "XX89370400440532013000", "DE8937040044053201300"],
    "card": ["4111111111111112", "1111111111111117", "0.4111111111111111", "41111111111111111", "4111-1111 1111-1111",
        "781C 4111 1111 1111 1111", "4111 1111 1111 1111 7820"],
    "bitcoin": [
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
        "11BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "bc1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
    ],
    "ethereum": ["0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x" + "0" * 40, "0x" + "ab" * 21],
    "tron": ["TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6u"],
    "monero": [MONERO[:-1] + "J", MONERO[:94]],
    "user": [
        r"C:\Users\Public\x", r"C:\Users\%USERNAME%\x", "http://cut.example/home/about", 'href="/home/index"',
        "/home/$USER/x", "~/home/x", "/home/index.html",
    ],
    "sid": ["S-1", "XS-1-5-21-1", "S-1-5-99999999999"],
    "guid": ["00000000-0000-0000-0000-000000000000", "6B29FC40-CA47-1067-B31D-00DD010662DA-1",
        "x6B29FC40-CA47-1067-B31D-00DD010662DA"],
}  # fmt: skip


def values(text: str, kind: str, language: str = "") -> list[str]:
    return [each.value for each in features_in(text, language) if each.type == kind]


@pytest.mark.parametrize(("kind", "text", "value"), [(kind, *sign) for kind, signs in SIGNS.items() for sign in signs])
def test_a_feature_is_found_in_its_one_spelling(kind: str, text: str, value: str) -> None:
    assert values(text, kind) == [value]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in NOISE.items() for text in texts])
def test_what_only_looks_like_one_is_none(kind: str, text: str) -> None:
    assert values(text, kind) == []


def test_every_type_is_tested_and_is_a_field() -> None:
    from search.schema import TYPES as FIELDS

    assert set(SIGNS) == set(NOISE) == set(TYPES) == set(KINDS)
    assert all(FIELDS[name] == "keyword" for name in TYPES)


def test_a_number_without_its_country_is_read_by_the_language_of_the_text() -> None:
    assert values("010-1234-5678", "phone") == []
    assert values("010-1234-5678", "phone", "ko") == ["+821012345678"]
    assert values("090-1234-5678", "phone", "ja") == ["+819012345678"]


@pytest.mark.parametrize(
    "text",
    [
        "a." * 60_000 + "@" + "b." * 60_000, "http://a.cn/" + ")" * 300_000, "1" * 500_000, "QQ:" * 100_000,
        "1 " * 200_000, "/home/" * 80_000, "C:\\Users\\" * 40_000, "a:" * 200_000, "+1 " * 100_000, "x.cn" * 100_000,
        "1.1.1.1 " * 20_000, "@" * 300_000, "微信号：" * 50_000, "4111 1111 1111 1111 " * 10_000, "[](" * 100_000,
    ],
    ids=lambda text: text[:6],
)  # fmt: skip
def test_hostile_texts_take_no_longer_than_others(text: str) -> None:
    begun = time.process_time()
    count = sum(1 for _ in features_in(text, "zh"))
    assert time.process_time() - begun < 3, count


def test_features_stand_where_they_were_found_through_all_windows() -> None:
    text = "분기 보고 " * 9_000 + "ann@studio.example\n" + "x" * 70_000 + " bo@studio.example " + "字" * 40_000
    found = [each for each in features_in(text) if each.type == "email"]
    data = text.encode()
    assert [data[each.start : each.end].decode() for each in found] == ["ann@studio.example", "bo@studio.example"]
    assert all(each.value in each.context and len(each.context) < 200 for each in found)


@settings(max_examples=60)
@given(st.text(max_size=300), st.sampled_from([sign[0] for signs in SIGNS.values() for sign in signs]))
def test_no_text_breaks_the_checks(noise: str, sign: str) -> None:
    for text in (noise, noise + sign + noise, sign[::-1], f"{sign}{sign}", f"\udcff{sign}\x00"):
        assert all(each.value and each.type in KINDS for each in features_in(text))


@settings(max_examples=100)
@given(st.text(max_size=120))
def test_no_text_breaks_the_validators(text: str) -> None:
    for name in ("resident", "credit", "iban", "card", "bitcoin", "tron", "ethereum", "monero"):
        assert getattr(_validators, name)(text) is None


def test_one_wrong_digit_is_never_a_number_that_proves_itself() -> None:
    for kind in ("resident", "iban", "card", "bitcoin", "tron"):
        value = SIGNS[kind][0][1]
        check = getattr(_validators, kind)
        assert check(value) == value
        for at in range(4, len(value)):
            for char in "0123456789":
                if value[at].isdecimal() and char != value[at]:
                    assert check(value[:at] + char + value[at + 1 :]) is None


# -- in a case ---------------------------------------------------------------------------------


def ingest(case: Case, name: str, folder: Path) -> None:
    ingest_sources(case, [Source(name, str(folder))], limits=limits_of(case), passwords=(), jobs=1, tell=lambda _: None)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    folder = tmp_path / "day1"
    folder.mkdir()
    (folder / "a.txt").write_text("ann@studio.example bo@studio.example ann@studio.example from 175.45.177.9")
    (folder / "b.txt").write_text("see ann@studio.example and https://cut.example/x")
    (folder / "copy of b.txt").write_text("see ann@studio.example and https://cut.example/x")
    (folder / "none.txt").write_text("nothing of the kind")
    with Case.create(tmp_path / "case") as made:
        ingest(made, "day1", folder)
        update(made)
        yield made


def rows(case: Case, query: str = "", **options: object) -> dict[tuple[str, str], dict[str, object]]:
    report = features(case, query, **options)  # type: ignore[arg-type]
    return {(str(row.exact["type"]), str(row.exact["value"])): dict(row.exact) for row in report.sheets[0].rows()}


def test_counts_are_of_hits_items_and_different_bytes(case: Case) -> None:
    row = rows(case)["email", "ann@studio.example"]
    assert [row[name] for name in ("hits", "items", "unique", "sources")] == [4, 3, 2, "day1"]
    assert row["path"] == "day1:a.txt"
    assert str(row["context"]).startswith("ann@studio.example bo@")
    assert row["first"] and row["last"]
    assert next(iter(rows(case))) == ("email", "ann@studio.example")


def test_types_queries_stops_and_least_narrow_the_table(case: Case, tmp_path: Path) -> None:
    assert {kind for kind, _ in rows(case, types=["url", "ipv4"])} == {"url", "ipv4"}
    assert rows(case, "name:copy")["email", "ann@studio.example"]["items"] == 1
    stop = tmp_path / "stop.txt"
    stop.write_text("# known\nANN@studio.example\n/^bo@/\n")
    assert not [value for kind, value in rows(case, stops=Stops.of(stop)) if kind == "email"]
    assert set(rows(case, least=4)) == {("domain", "studio.example"), ("email", "ann@studio.example")}
    with pytest.raises(UsageError, match="no such type"):
        features(case, types=["fax"])
    stop.write_text("/(/")
    with pytest.raises(UsageError, match="line 1"):
        Stops.of(stop)


def test_items_are_found_by_their_features(case: Case) -> None:
    def names(query: str) -> set[str]:
        return {hit.item.name for hit in ask(case, query, fold=False).hits}

    assert names("email:*@studio.example") == {"a.txt", "b.txt", "copy of b.txt"}
    assert names("ipv4:175.45.176.0/22") == {"a.txt"} == names("ipv4:175.45.177.9/32")
    assert names("ipv4:175.45.178.0/23") == set()
    assert names("url:*cut.example/*") == {"b.txt", "copy of b.txt"}
    case.rebuild_index()
    assert names("email:bo@studio.example") == {"a.txt"}


def test_only_what_is_new_is_gone_through(case: Case, tmp_path: Path) -> None:
    assert list(due(case)) == []
    assert update(case).readings == 0
    more = tmp_path / "day2"
    more.mkdir()
    (more / "c.txt").write_text("eve@studio.example")
    (more / "b.txt").write_text("see ann@studio.example and https://cut.example/x")
    ingest(case, "day2", more)
    assert [each.gone for each in due(case)] == [False]  # the bytes of b.txt were read before
    assert update(case).readings == 1
    assert rows(case)["email", "ann@studio.example"]["sources"] == "day1, day2"
    assert ("email", "eve@studio.example") in rows(case)
    root = next(item for item in case.items() if item.name == "c.txt")
    case.forget(root.id)
    case.commit()
    assert ("email", "eve@studio.example") not in rows(case)
    assert [each.gone for each in due(case)] == [True]
    update(case)
    assert list(due(case)) == []


def test_processes_of_their_own_find_the_same(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = rows(case)
    (case.path / FEATURES).unlink()
    monkeypatch.setattr(featuring, "_WORTH", 0)
    monkeypatch.setattr(featuring, "_HELD", 1)
    monkeypatch.setattr(featuring, "_KEYS", 2)
    made = update(case, jobs=2)
    assert (made.readings, made.featured) == (3, 2)
    assert rows(case) == alone
    assert [each for each in case.path.iterdir() if each.name.startswith("tmp")] == []


def test_a_damaged_text_is_told_by_the_processes_too(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    (case.path / FEATURES).unlink()
    monkeypatch.setattr(featuring, "_WORTH", 0)
    import sqlite3

    with sqlite3.connect(case.path / "texts.sqlite") as database:
        database.execute("UPDATE texts SET body = x'00' || body")
    database.close()
    with pytest.raises(StoreError, match="damaged"):
        update(case, jobs=2)


@pytest.mark.parametrize("kind", sorted(TABLES))
def test_the_table_goes_into_every_format_and_is_the_same_each_time(case: Case, tmp_path: Path, kind: str) -> None:
    first = export(features(case), kind, tmp_path / "one")
    assert first.rows == len(rows(case))
    assert export(features(case), kind, tmp_path / "two").sha256 == first.sha256
    assert json.loads((tmp_path / "one.about.json").read_text())["command"] == "features"


def test_fields_are_gone_through_with_their_names(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = (Field("pe.version", "10.2.1.4"), Field("doc.author", "eve@cut.example"), Field("doc.to", "Ann@x.example"))
    reading = Reading("00" * 16, "doc", 1, chunks=1, fields=(*fields, Field("doc.pages", 3)))
    monkeypatch.setattr(case.catalog, "reading", lambda key: reading)
    monkeypatch.setattr(case.texts, "of", lambda key, chunks: [Text("to ann@x.example, ann@x.example", "page 1")])
    monkeypatch.setattr(featuring, "Case", lambda path: nullcontext(case))
    ((_, size, found),) = featuring.parts_of(case.path, ["00" * 16])
    emails = [(value, hits, locator) for kind, value, hits, locator, _ in found if kind == "email"]
    assert emails == [("ann@x.example", 2, "page 1"), ("eve@cut.example", 1, "field doc.author")]
    assert {row[0] for row in found} == {"email", "domain"}
    assert size > 80


PLACES = [
    (["home/kimd/cuts/a.png"], ["kimd"]),
    (["/home/kimd/a"], ["kimd"]),
    (["disk.img", "/home/김감독/바탕화면/a.txt"], ["김감독"]),
    (["pc.zip", "Users/Ann Lee/Desktop/a.psd"], ["Ann Lee"]),
    (["pc.zip", "C/users/ann/a.psd"], ["ann"]),
    (["xp.vhd", r"Documents and Settings\pak\Desktop\a.doc"], ["pak"]),
    (["home/kimd/b.zip", "home/pak/x", "home/pak/y"], ["kimd", "pak"]),
    (["mnt/server1/home/lee/.bash_history"], ["lee"]),
    (["batch/7/Users/ri/AppData/Local/x"], ["ri"]),
    (["www/home/banner/a.png"], []),
    (["app/users/list/x"], []),
    (["users/list/x"], []),
    (["home/readme.md"], []),
    (["home/notes"], []),
    (["home/lost+found/x"], []),
    (["Users/Public/x"], []),
    (["Users/All Users/x"], []),
    (["Users/%s/x"], []),
    (["Users/Default/NTUSER.DAT"], []),
    (["homely/x/y"], []),
    (["Home/x/y"], []),
]


@pytest.mark.parametrize(("names", "users"), PLACES, ids=[names[-1] for names, _ in PLACES])
def test_places_tell_users(names: list[str], users: list[str]) -> None:
    assert [user for user, _ in users_in(names)] == users


def test_a_folder_is_somebodys_home_and_a_file_is_not() -> None:
    assert list(users_in(["home/kimd"], is_folder=True)) == [("kimd", "home/kimd")]
    assert list(users_in(["home/kimd", "x"], is_folder=True)) == []
    assert list(users_in(["home/kimd"])) == []


def test_features_that_are_too_many_together_are_asked_for_one_by_one(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    for number in range(9):
        (folder / f"{number}.txt").write_text(f"ann{number}@studio.example bob{number}@studio.example")
    ingest(case, "server", folder)
    monkeypatch.setattr(featuring, "_TOGETHER", 5)
    update(case)
    for number in range(9):
        assert found_by(case, f"email:bob{number}@studio.example") == [f"{number}.txt"]


def found_by(case: Case, query: str) -> list[str]:
    return [case.find(identity).name for identity in case.index.ids(case.parse(query))]


def test_users_are_of_places_and_of_texts(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "server"
    for place, text in (
        ("home/kimd/a.txt", "see /home/pak/cuts/"),
        ("home/kimd/sub/b.txt", "see /home/kimd/cuts/"),
        ("home/pak/empty.bin", ""),
        ("home/public/c.txt", "nothing"),
    ):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text)
    ingest(case, "server", folder)
    assert set(found_by(case, "user:kimd")) == {"kimd", "a.txt", "sub", "b.txt"}
    assert set(found_by(case, "user:pak")) == {"pak", "empty.bin"}
    before = {value for kind, value in rows(case) if kind == "user"}
    assert before == {"kimd", "pak"}  # places need not be gone through
    update(case)
    assert set(found_by(case, "user:pak")) == {"a.txt", "pak", "empty.bin"}
    found = {value: row for (kind, value), row in rows(case, types=["user"]).items()}
    assert {value: (row["hits"], row["items"]) for value, row in found.items()} == {"kimd": (5, 4), "pak": (3, 3)}
    assert (found["kimd"]["locator"], found["kimd"]["context"]) == ("path", "home/kimd")
    assert found["pak"]["context"] == "see /home/pak/cuts/"
    report = features(case, types=["user"])
    assert report.items
    held = [row.name for row in report.items() if isinstance(row, Item)]
    assert held == ["kimd", "a.txt", "sub", "b.txt", "pak", "empty.bin"]
    stop = tmp_path / "stop.txt"
    stop.write_text("KIMD\n")
    assert {value for _, value in rows(case, types=["user"], stops=Stops.of(stop))} == {"pak"}
    assert set(rows(case, "name:empty.bin", types=["user"])) == {("user", "pak")}
    (case.path / FEATURES).unlink()
    assert {value for _, value in rows(case)} == {"kimd", "pak"}


def test_items_behind_the_table_are_those_that_have_features(case: Case) -> None:
    report = features(case, types=["url"])
    assert report.items is not None
    assert [replace(item).name for item in report.items()] == ["b.txt", "copy of b.txt"]  # type: ignore[union-attr, type-var]
