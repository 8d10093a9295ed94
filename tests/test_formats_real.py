"""Documents that real programs wrote, of texts of Python's own argparse: what comes back differs in targets alone."""

import argparse
import csv
import gettext
import io
import optparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from lxml import etree
from translate.storage.tmx import tmxfile
from translate.storage.xliff import xlifffile
from translate.storage.xliff2 import Xliff2File

from nmt import documents, formats
from nmt.formats.document import Wanted
from nmt.translation import Translation

PROGRAMS = [Path(argparse.__file__), Path(optparse.__file__)]
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2)}


def copied(lines, *, align):
    return [
        Translation(line, 0.0, alignment=tuple((word, word) for word in range(len(line.split())))) for line in lines
    ]


def filled(name, content, source="en", target="de"):
    parts = formats.parts(name)(io.BytesIO(content), name, Wanted(source, target))
    return b"".join(documents.translated(parts, copied))


def pairs(name, content):
    return [pair[:2] for pair in formats.pairs(name)(io.BytesIO(content), name, Wanted("en", "de"))]


def without(pattern, content):
    """``content`` but for what translations have changed, which is all that ``pattern`` finds."""
    return re.sub(pattern, "", content.decode(), flags=re.DOTALL | re.MULTILINE)


def by_babel(folder, translated):
    """A catalogue that Babel extracted, and of which every other message is ``translated``."""
    catalogue = Catalog(locale="de", project="argparse")
    for path in PROGRAMS:
        for line, message, comments, context in extract_from_file("python", path, KEYWORDS, ["Translators:"]):
            catalogue.add(message, None, [(path.name, line)], auto_comments=comments, context=context)
    for number, message in enumerate(catalogue):
        if message.id and number % 2:
            several = isinstance(message.id, tuple)
            message.string = tuple(map(translated, message.id)) if several else translated(message.id)
    with (folder / "babel.po").open("wb") as file:
        write_po(file, catalogue, width=60)
    return folder / "babel.po"


def by_gettext(folder, translated):
    """One that xgettext extracted, with what msgmerge has kept of an older one, fuzzy and obsolete too."""
    for program in ("xgettext", "msginit", "msgmerge"):
        if shutil.which(program) is None:
            pytest.skip(f"{program}, of gettext, is not installed")

    def ran(*command):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    old = PROGRAMS[0].read_text().replace("not allowed", "never allowed").replace("'usage: '", "'The usage is: '")
    (folder / "old.py").write_text(old)
    extract = ("xgettext", "--from-code=UTF-8", "--language=Python", "-k_", "-kngettext:1,2", "--add-comments")
    ran(*extract, "-o", "old.pot", "old.py")
    ran(*extract, "-o", "new.pot", *map(str, PROGRAMS))
    ran("msginit", "--no-translator", "--locale=de.UTF-8", "-i", "old.pot", "-o", "old.po")
    with (folder / "old.po").open("rb") as file:
        catalogue = read_po(file, locale="de")
    for number, message in enumerate(catalogue):
        if message.id and number % 2 and not isinstance(message.id, tuple):
            message.string = translated(message.id)
    with (folder / "old.po").open("wb") as file:
        write_po(file, catalogue)
    ran("msgmerge", "--previous", "-o", "gettext.po", "old.po", "new.pot")
    return folder / "gettext.po"


@pytest.fixture(scope="module", params=[by_babel, by_gettext])
def catalogue(request, tmp_path_factory):
    """The path of a catalogue of which about half is translated."""
    return request.param(tmp_path_factory.mktemp("catalogue"), lambda text: f"Ü {text}")


def converted(program, catalogue, name, *options):
    """What a converter of translate-toolkit makes of ``catalogue``."""
    path = catalogue.with_name(name)
    command = [sys.executable, "-m", f"translate.convert.{program}", "--progress=none", *options, catalogue, path]
    subprocess.run(command, check=True, capture_output=True)
    return path.read_bytes()


def messages(content):
    """What Babel reads in a catalogue: of every message all but its translation and the flag that it is a machine's."""
    return [
        [getattr(message, name) for name in ("id", "context", "locations", "auto_comments", "previous_id")]
        + [message.user_comments, sorted(message.flags - {"fuzzy"})]
        for message in read_po(io.BytesIO(content))
        if message.id
    ]


def test_a_catalogue(catalogue):
    before = catalogue.read_bytes()
    after = filled("a.po", before)
    assert filled("a.po", after) == after
    assert messages(after) == messages(before)
    changed = r'^msgstr(\[\d\])? ("[^\n]*"\n)+|^#, fuzzy\n|(?<=^#,) fuzzy,'
    assert without(changed, after) == without(changed, before)

    # Compiled by Babel and read by Python, as programs do, each message is there.
    found = read_po(io.BytesIO(after), locale="de")
    compiled = io.BytesIO()
    write_mo(compiled, found, use_fuzzy=True)
    compiled.seek(0)
    said = gettext.GNUTranslations(compiled)
    for old in read_po(io.BytesIO(before), locale="de"):
        if old.id and isinstance(old.id, tuple):
            assert [said.ngettext(*old.id, count) for count in (1, 2)] == list(
                old.string if any(old.string) else old.id
            )
        elif old.id:
            assert said.gettext(old.id) == (old.string or old.id)


def test_what_is_learnt_of_a_catalogue(catalogue):
    content = catalogue.read_bytes()
    expected = []
    for message in read_po(io.BytesIO(content)):
        if message.id and not message.fuzzy and any(message.string):
            one = isinstance(message.id, str)
            sides = zip(*([[said] if one else said for said in (message.id, message.string)]), strict=True)
            expected += [pair for two in sides for pair in zip(*map(str.splitlines, two), strict=True) if any(pair)]
    assert len(expected) > 10
    assert pairs("a.po", content) == expected


def test_a_memory_that_a_converter_wrote(catalogue):
    before = converted("po2tmx", catalogue, "a.tmx", "-l", "de")
    found = {pair for two in pairs("a.tmx", before) for pair in zip(*map(str.splitlines, two), strict=True)}
    assert found == set(pairs("a.po", catalogue.read_bytes()))
    after = filled("a.tmx", before, target="fr")
    assert without(r'\s*<tuv xml:lang="fr" creationtool="nmt".*?</tuv>', after) == before.decode()
    units = etree.fromstring(after).findall(".//tu")
    assert len(units) > 10
    for unit in units:
        said = {one.get("{http://www.w3.org/XML/1998/namespace}lang"): one.findtext("seg") for one in unit.iter("tuv")}
        assert said["fr"] == said["en"]
    sources = [[unit.source for unit in tmxfile.parsestring(content).units] for content in (before, after)]
    assert sources[0] == sources[1]


def test_a_job_that_a_converter_wrote(catalogue):
    before = converted("po2xliff", catalogue, "a.xlf")
    assert b'version="1.1"' in before
    check_job("a.xlf", before, xlifffile)


def test_a_job_of_the_second_version_that_translate_toolkit_wrote(catalogue):
    store = Xliff2File()
    store.setsourcelanguage("en")
    store.settargetlanguage("de")
    for message in read_po(io.BytesIO(catalogue.read_bytes())):
        if message.id and not isinstance(message.id, tuple):
            unit = store.addsourceunit(message.id)
            unit.addnote("A note: 1 > 0", origin="developer")
            if message.string:
                unit.target = message.string
    check_job("b.xliff", bytes(store), Xliff2File)


def check_job(name, before, store):
    after = filled(name, before)
    assert filled(name, after) == after
    changed = r'\s*<target[^>]*/>|\s*<target.*?</target>| state="translated" subState="nmt:machine"'
    assert without(changed, after) == without(changed, before)
    old, new = ([_sides(unit) for unit in _units(content)] for content in (before, after))
    # What the converter says of a fuzzy one is that it is there to be overwritten.
    assert [two[:2] for two in new] == [
        (source, target if target.strip() and state != "needs-translation" else source) for source, target, state in old
    ]
    units = [store.parsestring(content).units for content in (before, after)]
    assert len(units[0]) == len(units[1]) > 30


def _units(content):
    return etree.fromstring(content).iter("{*}trans-unit", "{*}segment")


def _sides(unit):
    """Source, target and its state, by lxml."""
    source, target = unit.find("{*}source"), unit.find("{*}target")
    said = ("", None) if target is None else ("".join(target.itertext()), target.get("state"))
    return "".join(source.itertext()), *said


@pytest.mark.parametrize("dialect", ["default", "excel"])
def test_a_table_that_a_converter_wrote(catalogue, dialect):
    before = converted("po2csv", catalogue, "a.csv")
    if dialect == "excel":  # as it is saved there: other quotation marks, other line ends, semicolons and a mark
        rows, stream = list(csv.reader(io.StringIO(before.decode(), newline=""))), io.StringIO(newline="")
        csv.writer(stream, dialect="excel", delimiter=";").writerows(rows)
        before = stream.getvalue().encode("utf-8-sig")
    delimiter = "," if dialect == "default" else ";"
    after = filled("a.csv", before)
    old, new = (
        list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=delimiter))
        for content in (before, after)
    )
    assert new == [[*row[:2], row[2] or row[1]] for row in old]
    assert sum(not row[2] for row in old) > 10
    assert after.startswith(before[: before.index(b"\n")])
