"""TMX and XLIFF, read and filled; lxml and translate-toolkit say whether that is right."""

import collections
import copy
import gzip
import io
import itertools
import lzma
import re
import tracemalloc
from contextlib import suppress
from xml.sax.saxutils import escape

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from translate.storage import tmx as outside_tmx
from translate.storage import xliff as outside_xliff
from translate.storage import xliff2 as outside_xliff2

from nmt.corpus import read_tsv
from nmt.formats import markup, tmx, xliff
from nmt.formats.document import FormatError, Slot, Text, Wanted

XML = "{http://www.w3.org/XML/1998/namespace}"


def parts(module, content, source="en", target="de", again=False):
    content = content if isinstance(content, bytes) else content.encode()
    return list(module.parts(io.BytesIO(content), "a.xml", Wanted(source, target, again=again)))


def filled(module, content, engine=lambda text: text, **wanted):
    """``content`` with every slot filled by ``engine``."""
    return b"".join(
        part.fill([engine(text) for text in part.texts]) if isinstance(part, Slot) else part
        for part in parts(module, content, **wanted)
    )


def pairs(module, content, source="en", target="de"):
    content = content if isinstance(content, bytes) else content.encode()
    return [pair[:2] for pair in module.pairs(io.BytesIO(content), "a.xml", Wanted(source, target))]


def refused(module, content, read=filled, **wanted):
    with pytest.raises(FormatError) as caught:
        read(module, content, **wanted)
    return str(caught.value)


def slot_of(module, content):
    """The only one."""
    (slot,) = (part for part in parts(module, content) if isinstance(part, Slot))
    return slot


# --- TMX


def memory(*units):
    return "".join(
        (
            '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n<tmx version="1.4">\n',
            '<header creationtool="x" creationtoolversion="1" segtype="sentence" o-tmf="x" adminlang="en" ',
            'srclang="en" datatype="plaintext"/>\n<body>\n',
            *units,
            "</body>\n</tmx>\n",
        )
    )


MACHINE = ' creationtool="nmt" creationid="machine translation"'


def test_tmx_gets_a_variant_like_that_of_the_source():
    before = """<tu tuid='1 > 0'>
  <note>a note</note>
  <tuv xml:lang="en" creationdate='20200101T000000Z'>
    <prop type="x">en</prop>
    <seg>A &amp; B</seg>
  </tuv>
  <!-- behind --><tuv xml:lang="fr"><seg>F</seg></tuv>
</tu>
"""
    new = f'\n  <tuv xml:lang="de"{MACHINE}>\n    <seg>A &amp; B</seg>\n  </tuv>'
    after = before.replace("</tuv>\n  <!--", f"</tuv>{new}\n  <!--")
    assert filled(tmx, memory(before)).decode() == memory(after)
    assert filled(tmx, memory(after)).decode() == memory(after)


@pytest.mark.parametrize("target", ["<seg/>", "<seg />", "<seg></seg>", "<seg> \n</seg>", '<seg><ph x="9"/></seg>'])
def test_tmx_of_an_empty_target_is_filled(target):
    unit = (
        "<tu><tuv xml:lang='de' changeid='a' x-a=\" creationid='b'\" >{}</tuv>"
        "<tuv xml:lang='en'><seg>A</seg></tuv></tu>"
    )
    after = filled(tmx, memory(unit.format(target))).decode()
    expected = unit.format("<seg>A</seg>").replace(" changeid='a'", "").replace("' >", f"'{MACHINE}>", 1)
    assert after == memory(expected.replace('" >', f'"{MACHINE}>', 1))


def test_tmx_gets_none_of_what_is_said_about_the_source():
    unit = '<tu><tuv xml:lang="en"><seg>A</seg> <!-- of the source --></tuv></tu>'
    new = f'<tuv xml:lang="pt-BR"{MACHINE}><seg>A</seg></tuv>'
    after = filled(tmx, memory(unit), target="pt_BR").decode()
    assert after == memory(unit.replace("</tu>", f"{new}</tu>"))


def test_tmx_is_translated_anew_only_if_asked():
    used = ' usagecount="3" lastusagedate="20200101T000000Z"'
    unit = f'<tu><tuv xml:lang="en"><seg>A</seg></tuv><tuv xml:lang="de"{used}><seg>B</seg></tuv></tu>'
    assert filled(tmx, memory(unit)).decode() == memory(unit)
    after = unit.replace(used, MACHINE).replace(">B<", ">A<")
    assert filled(tmx, memory(unit), again=True).decode() == memory(after)


def test_tmx_keeps_tags_and_all_that_is_in_them():
    seg = (
        '<seg>a <bpt i="1" x=\'>\'>&lt;b&gt;<sub>sub</sub></bpt>b<ept i="1">&lt;/b&gt;</ept> '
        '<hi type="x"><hi>c</hi></hi><ph/><it pos="begin">[</it><ut>{</ut></seg>'
    )
    slot = slot_of(tmx, memory(f'<tu><tuv xml:lang="en">{seg}</tuv></tu>'))
    (text,) = slot.texts
    assert text.plain == "a b c"
    assert slot.fill([text]).decode() == f'<tuv xml:lang="de"{MACHINE}>{seg}</tuv>'
    opening, closing = (mark for mark in text.marks if mark.code.startswith(("<bpt", "<ept")))
    assert opening.pair == closing.pair is not None
    assert (opening.opens, closing.opens, opening.place, closing.place) == (True, False, 2, 3)
    assert pairs(tmx, memory(f'<tu><tuv lang="EN-us">{seg}</tuv><tuv lang="de_AT"><seg>x</seg></tuv></tu>')) == [
        ("a b c", "x")
    ]


def variants(*languages):
    return memory("<tu>", *(f'<tuv xml:lang="{code}"><seg>{code}</seg></tuv>' for code in languages), "</tu>")


@pytest.mark.parametrize(
    ("there", "source", "target", "expected"),
    [
        (["en-GB", "en-US"], "en-US", "en-GB", ("en-US", "en-GB")),
        (["en", "en-GB"], "en-US", "en-GB", ("en", "en-GB")),
        (["en-GB", "en"], "en", "en-GB", ("en", "en-GB")),
        (["pt-BR", "pt"], "pt", "pt-BR", ("pt", "pt-BR")),
        (["de-AT", "de", "en-GB", "en"], "en", "de", ("en", "de")),
        (["de-AT", "de-DE", "en-GB", "en-US"], "en", "de", ("en-GB", "de-AT")),
        (["DE_de", "EN_us"], "en", "de-DE", ("EN_us", "DE_de")),
        (["en", "pt", "pt_BR"], "en", "pt-BR", ("en", "pt_BR")),
        ([" en", "de "], "en", "de", (" en", "de ")),
    ],
)
def test_tmx_tells_the_regions_of_a_language_apart(there, source, target, expected):
    for order in itertools.permutations(there):
        found = pairs(tmx, variants(*order), source, target)
        assert len(found) == 1
        if len(there) == 2:
            assert found == [expected]
        else:
            assert found[0][0].startswith(expected[0][:2])
            assert filled(tmx, variants(*order), source=source, target=target).decode() == variants(*order)
    assert pairs(tmx, variants(*there), source, target) == [expected]


def test_tmx_of_one_region_gets_the_other():
    for there in ("en", "en-US"):
        after = filled(tmx, variants(there), source="en-US", target="en-GB").decode()
        assert f'<tuv xml:lang="en-GB"{MACHINE}><seg>{there}</seg></tuv>' in after
    assert "has no text of the language en, but of en-GB" in refused(
        tmx, variants("en-GB"), source="en", target="en-GB"
    )


def test_tmx_without_text_is_left_alone():
    unit = (
        "<tu></tu><tu/><tu><tuv xml:lang='en'/></tu><tu><tuv xml:lang='en'><seg/></tuv></tu>"
        "<tu><tuv xml:lang='en'><seg><ph/> </seg></tuv></tu><tu><tuv xml:lang='de'><seg>x</seg></tuv></tu>"
        "<tu><tuv xml:lang='en'><seg>a</seg></tuv><tuv xml:lang='de'></tuv></tu>"
    )
    assert filled(tmx, memory(unit)).decode() == memory(unit)
    assert filled(tmx, memory(unit), again=True).decode() == memory(unit)


def test_tmx_of_other_languages_says_which():
    content = variants("en", "fr", "deu")
    told = "a.xml has no text of the language de, but of deu, en, fr; did you mean deu?"
    assert refused(tmx, content, pairs) == told
    told = "a.xml has no text of the language nl, but of deu, en, fr"
    assert refused(tmx, content, source="nl") == told
    content = memory(*(f'<tu><tuv xml:lang="{code}"><seg>a</seg></tuv></tu>' for code in ("en", "de")))
    assert "no unit has both en and de; expected translations" in refused(tmx, content, pairs)


def test_tmx_with_a_header_only_says_so():
    for read in (filled, pairs):
        assert refused(tmx, memory(), read) == "a.xml has no text at all; expected some of the language en"


def test_other_xml_is_no_tmx():
    assert refused(tmx, "<html/>") == "a.xml: begins with <html>, expected <tmx>"


# --- XLIFF 1.2


def job(*units, head='source-language="en" target-language="de"', about=""):
    return (
        '<?xml version="1.0"?>\n<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2" version="1.2">\n'
        f'<file original="a" datatype="plaintext" {head}{about}><body>\n'
        + "\n".join(units)
        + "\n</body></file>\n</xliff>\n"
    )


STATE = ' state="needs-review-translation" state-qualifier="mt-suggestion"'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '<trans-unit id="1">\n  <source>A</source>\n  <note>n</note>\n</trans-unit>',
            f'<trans-unit id="1">\n  <source>A</source>\n  <target{STATE}>A</target>\n  <note>n</note>\n</trans-unit>',
        ),
        (
            '<trans-unit id="1"><source>A</source><seg-source><mrk mtype="seg" mid="1">A</mrk></seg-source>'
            "</trans-unit>",
            '<trans-unit id="1"><source>A</source><seg-source><mrk mtype="seg" mid="1">A</mrk></seg-source>'
            f'<target{STATE}><mrk mtype="seg" mid="1">A</mrk></target></trans-unit>',
        ),
        (
            '<trans-unit id="1"><source>A</source><target xml:lang="de" state=\'new\' /></trans-unit>',
            f'<trans-unit id="1"><source>A</source><target xml:lang="de"{STATE}>A</target></trans-unit>',
        ),
        (
            '<trans-unit id="1"><source>A</source><target phase-name="a state=\'new\'">  </target></trans-unit>',
            f'<trans-unit id="1"><source>A</source><target phase-name="a state=\'new\'"{STATE}>A</target></trans-unit>',
        ),
        (
            '<trans-unit id="1"><source>A</source><target><x id="9"/></target></trans-unit>',
            f'<trans-unit id="1"><source>A</source><target{STATE}>A</target></trans-unit>',
        ),
        (
            '<trans-unit id="1"><source>A</source><target state="needs-translation">A</target></trans-unit>',
            f'<trans-unit id="1"><source>A</source><target{STATE}>A</target></trans-unit>',
        ),
        (
            '<trans-unit id="1"><source xml:space="preserve">A\n B</source></trans-unit>',
            '<trans-unit id="1"><source xml:space="preserve">A\n B</source>'
            f'<target{STATE} xml:space="preserve">A\n B</target></trans-unit>',
        ),
        (
            '<trans-unit id="1"><source xml:space="preserve">A</source><target xml:space="default"/></trans-unit>',
            '<trans-unit id="1"><source xml:space="preserve">A</source>'
            f'<target xml:space="default"{STATE}>A</target></trans-unit>',
        ),
        (
            '<trans-unit id="1"><source>A\n\t10\u00a0km\u2003B</source></trans-unit>',
            '<trans-unit id="1"><source>A\n\t10\u00a0km\u2003B</source>'
            f"<target{STATE}>A  10\u00a0km\u2003B</target></trans-unit>",
        ),
        (
            '<trans-unit id="1"><source>A <![CDATA[<b>]]></source></trans-unit>',
            f'<trans-unit id="1"><source>A <![CDATA[<b>]]></source><target{STATE}>A &lt;b&gt;</target></trans-unit>',
        ),
        (
            '<trans-unit id="1"><alt-trans><source>B</source><target>C</target></alt-trans><source>A</source>'
            "</trans-unit>",
            '<trans-unit id="1"><alt-trans><source>B</source><target>C</target></alt-trans><source>A</source>'
            f"<target{STATE}>A</target></trans-unit>",
        ),
        (
            '<trans-unit id="1"><source>A</source><o:target xmlns:o="urn:o">x</o:target></trans-unit>',
            f'<trans-unit id="1"><source>A</source><target{STATE}>A</target>'
            '<o:target xmlns:o="urn:o">x</o:target></trans-unit>',
        ),
    ],
)
def test_xliff_gets_a_target(before, after):
    assert filled(xliff, job(before)).decode() == job(after)
    assert filled(xliff, job(after)).decode() == job(after)


@pytest.mark.parametrize(
    "unit",
    [
        '<trans-unit id="1"><source>A</source><target>B</target></trans-unit>',
        '<trans-unit id="1" approved="yes"><source>A</source><target/></trans-unit>',
        '<trans-unit id="1"><source>A</source><target state="final"/></trans-unit>',
        '<trans-unit id="1"><source>A</source><target state="signed-off"/></trans-unit>',
        '<trans-unit id="1" translate="no"><source>A</source></trans-unit>',
        '<group translate="no"><group><trans-unit id="1"><source>A</source></trans-unit></group></group>',
        '<trans-unit id="1"><source/></trans-unit>',
        '<trans-unit id="1"><source> <x id="1"/><g id="2"> </g></source></trans-unit>',
        '<trans-unit id="1"><source><mrk mtype="protected">A</mrk></source></trans-unit>',
        '<trans-unit id="1"></trans-unit><trans-unit id="2"/>',
        '<bin-unit id="1" mime-type="image/png"><bin-source><internal-file>A</internal-file></bin-source></bin-unit>',
    ],
)
def test_xliff_leaves_alone_what_needs_nothing(unit):
    assert filled(xliff, job(unit)).decode() == job(unit)


def test_xliff_is_translated_anew_only_if_asked_and_not_approved():
    units = '<trans-unit id="1"{}><source>A</source><target{}>{}</target></trans-unit>'
    before = job(units.format(' approved="no"', ' state="translated"', "B"), units.format(' approved="yes"', "", "B"))
    after = job(units.format(' approved="no"', STATE, "A"), units.format(' approved="yes"', "", "B"))
    assert filled(xliff, before).decode() == before
    assert filled(xliff, before, again=True).decode() == after


def test_what_is_not_translated_may_hold_what_is():
    unit = '<group translate="no"><trans-unit id="1" translate="yes"><source>A</source></trans-unit></group>'
    assert b">A</target>" in filled(xliff, job(unit))
    unit = '<group o:translate="no" xmlns:o="urn:o"><trans-unit id="1"><source>A</source></trans-unit></group>'
    assert b">A</target>" in filled(xliff, job(unit))


def test_xliff_keeps_tags_and_all_that_is_in_them():
    inner = (
        'a <bpt id="1" rid="7">&lt;b<sub>x</sub>&gt;</bpt>b<ept id="2" rid="7"/> '
        '<g id="3" ctype=\'x->\'>c<x id="4"/></g>'
        '<bx id="5"/>d<ex id="6" rid="5"/><mrk mtype="protected">Do <g id="8">not</g></mrk>'
        '<it id="9" pos="open">&amp;</it>'
    )
    slot = slot_of(xliff, job(f'<trans-unit id="1"><source>{inner}</source></trans-unit>'))
    (text,) = slot.texts
    assert text.plain == "a b cd"
    assert slot.fill([text]).decode() == f"<target{STATE}>{inner}</target>"
    by_pair = [mark.code[:3] for mark in text.marks if mark.pair]
    assert by_pair == ["<bp", "<ep", "<g ", "</g", "<bx", "<ex"]
    shared = [mark.pair for mark in text.marks if mark.pair]
    assert shared[0::2] == shared[1::2]
    assert len(set(shared)) == 3


def segmented(source, target="", head=""):
    """A unit that has been cut into segments."""
    plain = re.sub("</?mrk[^>]*>", "", source)
    return f'<trans-unit id="1"{head}><source>{plain}</source><seg-source>{source}</seg-source>{target}</trans-unit>'


def seg(mid, inner):
    return f'<mrk mtype="seg" mid="{mid}">{inner}</mrk>'


X, BX, EX, TERM = '<x id="1"/>', '<bx id="2"/>', '<ex id="2"/>', '<mrk mtype="term">t</mrk>'


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        # What stands around the segments stands there in the target, too, be it tags.
        (f"{seg(0, 'A.')} {seg(1, 'B.')}", "", f"{seg(0, '[A.]')} {seg(1, '[B.]')}"),
        (
            f"<g id='1'>{seg(7, X + 'b')}\u00a0{seg(9, 'C')}</g>.",
            "",
            f"<g id='1'>{seg(7, '[' + X + 'b]')}\u00a0{seg(9, '[C]')}</g>.",
        ),
        # A tag that opens in one and is closed in another.
        (f"{seg(0, BX + 'A')}{seg(1, 'B' + EX)}", "", f"{seg(0, '[' + BX + 'A]')}{seg(1, '[B' + EX + ']')}"),
        # Attributes in any order, more of them, other quotation marks; other marks are kept as tags.
        (
            f"<mrk mid='x' a=\" mtype='b'\" mtype='seg' >A {TERM}</mrk>",
            "<target/>",
            f"<mrk mid='x' a=\" mtype='b'\" mtype='seg' >[A {TERM}]</mrk>",
        ),
        # What is empty, or only blank, stays so.
        (f"{seg(0, '')}{seg(1, ' ')}{seg(2, 'A')}", "", f"{seg(0, '')}{seg(1, ' ')}{seg(2, '[A]')}"),
        # A target that is to be filled: where something stands in a segment, a person has written it.
        (
            f"{seg(0, 'A')} {seg(1, 'B')}",
            f"<target>{seg(0, '')} {seg(1, ' ')}</target>",
            f"{seg(0, '[A]')} {seg(1, '[B]')}",
        ),
        (
            f"{seg(0, 'A')} {seg(1, 'B')}",
            f"<target>{seg(0, 'x &amp; ' + TERM)} <mrk mid='1' mtype='seg'/></target>",
            f"{seg(0, 'x &amp; ' + TERM)} {seg(1, '[B]')}",
        ),
        # Segments of one name are two nevertheless, and so is one that has none.
        (f"{seg(0, 'A')} {seg(0, 'B')}", "", f"{seg(0, '[A]')} {seg(0, '[B]')}"),
        (
            f"{seg(1, 'A')}<mrk mtype='seg'>B</mrk>",
            f"<target>{seg(1, '')}</target>",
            f"{seg(1, '[A]')}<mrk mtype='seg'>[B]</mrk>",
        ),
        # But for its state.
        (
            f"{seg(0, 'A')} {seg(1, 'B')}",
            f"<target state='new'>{seg(0, 'x')} {seg(1, 'y')}</target>",
            f"{seg(0, '[A]')} {seg(1, '[B]')}",
        ),
    ],
)
def test_a_unit_is_translated_segment_by_segment(source, target, expected):
    before = segmented(source, target)
    after = filled(xliff, job(before), in_brackets).decode()
    stays = before.replace(target, "") if target else before
    assert after == job(stays.replace("</trans-unit>", f"<target{STATE}>{expected}</target></trans-unit>"))
    assert filled(xliff, after, in_brackets).decode() == after
    # By other readers: the target has the source's segments, by name and in order.
    (unit,) = etree.fromstring(after.encode()).iter("{*}trans-unit")
    names = [[mark.get("mid") for mark in side.iter("{*}mrk") if mark.get("mtype") == "seg"] for side in unit[1:]]
    assert names[0] == names[1]
    said = "".join(etree.fromstring(f"<target>{expected}</target>").itertext())
    (unit,) = outside_xliff.xlifffile.parsestring(after.encode()).units
    assert str(unit.target).split() == said.split()


def in_brackets(text):
    """As an engine that says what it was given, and where that ends."""
    return Text.joined([Text("["), text, Text("]")], "")


@pytest.mark.parametrize(
    "unit",
    [
        segmented(seg(0, "A") + seg(1, "B"), f"<target>{seg(0, 'x')}{seg(1, 'y')}</target>"),
        # Whoever has segmented the target otherwise, or not at all, would lose what is there.
        segmented(seg(0, "A") + seg(1, "B"), f"<target>{seg(0, 'x')}{seg(2, 'y')}</target>"),
        segmented(seg(0, "A") + seg(1, "B"), f"<target>{seg(0, 'x')} and y</target>"),
        segmented(seg(0, "A") + seg(1, "B"), "<target>x y</target>"),
        # So would one whose segments share a name.
        segmented(seg(0, "A") + seg(1, "B"), f"<target>{seg(0, 'x')}{seg(0, 'y')}</target>"),
        segmented(seg(0, "A") + seg(0, "B"), f"<target>{seg(0, 'x')}{seg(0, '')}</target>"),
        segmented(seg(0, "A") + seg(0, "B"), f"<target>{seg(0, 'x')}</target>"),
        segmented(seg(0, "A"), "", ' approved="yes"'),
        segmented(seg(0, "A"), "", ' translate="no"'),
    ],
)
def test_segments_that_are_left_alone(unit):
    assert filled(xliff, job(unit)).decode() == job(unit)


def test_segments_are_translated_anew_if_asked():
    before = segmented(f"{seg(0, 'A')} {seg(1, 'B')}", f"<target>{seg(0, 'x')} {seg(2, 'y')}</target>")
    after = segmented(f"{seg(0, 'A')} {seg(1, 'B')}", f"<target{STATE}>{seg(0, '[A]')} {seg(1, '[B]')}</target>")
    assert filled(xliff, job(before), in_brackets, again=True).decode() == job(after)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ('<target><mrk mtype="seg" mid="5"/></target>', seg(5, "[A. B.]")),
        ("<target><mrk mid='5' mtype='seg'> </mrk></target>", "<mrk mid='5' mtype='seg'>[A. B.]</mrk>"),
        (f"<target>{seg(5, '')}{seg(6, '')}</target>", "[A. B.]"),  # nobody can tell which is of what
    ],
)
def test_the_segment_of_a_target_alone(target, expected):
    unit = f'<trans-unit id="1"><source>A. B.</source>{target}</trans-unit>'
    after = f'<trans-unit id="1"><source>A. B.</source><target{STATE}>{expected}</target></trans-unit>'
    assert filled(xliff, job(unit), in_brackets).decode() == job(after)


def test_segments_of_the_source_itself_and_of_another_prefix():
    unit = f'<trans-unit id="1"><source>{seg(0, "A")}{seg(1, "B")}</source></trans-unit>'
    target = f"<target{STATE}>{seg(0, '[A]')}{seg(1, '[B]')}</target>"
    assert filled(xliff, job(unit), in_brackets).decode() == job(unit.replace("</trans", f"{target}</trans"))
    content, expected = (
        re.sub(rf"<(/?)({NAMES})(?=[ />\n])", r"<\1x:\2", job(text)).replace('xmlns="', 'xmlns:x="')
        for text in (unit, unit.replace("</trans", f"{target}</trans"))
    )
    assert filled(xliff, content, in_brackets).decode() == expected


def test_segments_are_learnt_one_by_one():
    two = f"{seg(0, 'A.')} {seg(1, 'B.')} {seg(2, ' ')}"
    unit = segmented(two, f"<target>{seg(1, 'y')} {seg(0, 'x')} {seg(2, '')}</target>")
    assert pairs(xliff, job(unit)) == [("A.", "x"), ("B.", "y")]
    assert pairs(xliff, job(segmented(two, "<target>x y</target>"))) == [("A. B.  ", "x y")]
    assert pairs(xliff, job(segmented(two, f"<target>{seg(7, 'x y')}</target>"))) == [("A. B.  ", "x y")]
    half = segmented(two, f"<target>{seg(1, 'y')}</target>")
    assert pairs(xliff, job(half)) == [("B.", "y")]
    assert pairs(xliff, job(half, unit)) == [("B.", "y"), ("A.", "x"), ("B.", "y")]
    told = "a.xml: none of its units has a target that a person has seen; expected translations"
    for about in (" state='new'", " state='needs-translation'", STATE):
        assert refused(xliff, job(half.replace("<target", f"<target{about}")), pairs) == told
    assert pairs(xliff, job(half.replace("<target", "<target state='translated'"))) == [("B.", "y")]
    # What stands between segments without text is no translation.
    empty = segmented(f"{seg(0, 'A')} - {seg(1, 'B')}", f"<target>{seg(0, '')} - {seg(1, '')}</target>")
    assert refused(xliff, job(empty), pairs) == told


def test_segments_that_share_a_name_are_learnt_together():
    same, other = f"{seg(0, 'A.')} {seg(0, 'B.')}", f"{seg(0, 'A.')} {seg(1, 'B.')}"
    for source in (same, other):
        unit = segmented(source, f"<target>{seg(0, 'x')} {seg(0, 'y')}</target>")
        assert pairs(xliff, job(unit)) == [("A. B.", "x y")]


def test_xliff_says_its_target_language():
    unit = '<trans-unit id="1"><source>A</source></trans-unit>'
    for head in ('source-language="en"', "source-language='en' target-language=''"):
        after = filled(xliff, job(unit, head=head), target="pt_BR").decode()
        (said,) = etree.fromstring(after.encode()).iter("{*}file")
        assert dict(said.attrib) == {
            "original": "a",
            "datatype": "plaintext",
            "source-language": "en",
            "target-language": "pt-BR",
        }
        assert filled(xliff, after, target="pt_BR").decode() == after


def files(*languages):
    return "".join(
        (
            '<xliff version="1.2">',
            *(
                f'<file source-language="en" target-language="{code}"><body><trans-unit id="1"><source>A</source>'
                "</trans-unit></body></file>"
                for code in languages
            ),
            "</xliff>",
        )
    )


@pytest.mark.parametrize("languages", [["de", "fr", "de"], ["fr", "de", "fr"], ["fr", "fr", "de-AT"]])
def test_of_several_files_those_of_the_languages_are_filled(languages):
    root = etree.fromstring(filled(xliff, files(*languages)))
    assert [file.find(".//target") is not None for file in root] == [code.startswith("de") for code in languages]
    assert (
        b"".join(part for part in parts(xliff, files(*languages)) if isinstance(part, bytes))
        == files(*languages).encode()
    )


def test_xliff_of_other_languages_says_which():
    for read in (filled, pairs):
        told = "a.xml, line 1 (target-language) has no text of the language de, but of fr"
        assert refused(xliff, files("fr", "fr"), read).startswith(told)
        told = "a.xml, line 1 (source-language) has no text of the language nl, but of en"
        assert refused(xliff, files("de"), read, source="nl").startswith(told)


def test_xliff_without_targets_is_nothing_to_learn_from():
    told = "a.xml: none of its units has a target that a person has seen; expected translations"
    assert refused(xliff, files("de"), pairs) == told
    unit = '<trans-unit id="1"><source>A</source><target state="new">A</target></trans-unit>'
    assert refused(xliff, job(unit), pairs) == told


def test_what_is_translated_is_read():
    unit = '<trans-unit id="1"><source>A <g id="1">b</g></source><target>B<x id="2"/> c</target></trans-unit>'
    assert pairs(xliff, job(unit)) == [("A b", "B c")]


@pytest.mark.parametrize(
    ("content", "begins"),
    [("<xliff/>", '<xliff version="">'), ('<xliff version="3.0"/>', '<xliff version="3.0">'), ("<tmx/>", "<tmx>")],
)
def test_other_xml_is_no_xliff(content, begins):
    assert refused(xliff, content) == f"a.xml: begins with {begins}, expected <xliff> of version 1.2 or 2.x"


# --- XLIFF 2


def second(*units, head=' trgLang="de"', about=""):
    return (
        f'<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.1" srcLang="en"{head}>\n'
        f'<file id="f"{about}>\n' + "\n".join(units) + "\n</file>\n</xliff>\n"
    )


MACHINE_2 = ' state="translated" subState="nmt:machine"'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '<unit id="1"><notes><note>n</note></notes><segment id="s" >\n <source>A</source>\n</segment></unit>',
            f'<unit id="1"><notes><note>n</note></notes><segment id="s" {MACHINE_2}>\n <source>A</source>\n '
            "<target>A</target>\n</segment></unit>",
        ),
        (
            '<unit id="1"><segment state="initial"><source>A</source><target>x</target></segment><ignorable><source> '
            "</source></ignorable><segment state='reviewed'><source>B</source><target>C</target></segment><segment>"
            "<source>D</source></segment></unit>",
            f'<unit id="1"><segment{MACHINE_2}><source>A</source><target>A</target></segment><ignorable><source> '
            "</source></ignorable><segment state='reviewed'><source>B</source><target>C</target></segment>"
            f"<segment{MACHINE_2}><source>D</source><target>D</target></segment></unit>",
        ),
        (
            '<unit id="1"><segment id="a > b"><source>A<pc id="1">b<ph id="2"/></pc><sc id="3"/>c<ec startRef="3"/>'
            '<mrk id="m" translate="no">d</mrk></source></segment></unit>',
            f'<unit id="1"><segment id="a > b"{MACHINE_2}><source>A<pc id="1">b<ph id="2"/></pc><sc id="3"/>c'
            '<ec startRef="3"/><mrk id="m" translate="no">d</mrk></source><target>A<pc id="1">b<ph id="2"/></pc>'
            '<sc id="3"/>c<ec startRef="3"/><mrk id="m" translate="no">d</mrk></target></segment></unit>',
        ),
        ('<unit id="1" translate="no"><segment><source>A</source></segment></unit>',) * 2,
        ('<unit id="1"><segment state="final"><source>A</source></segment></unit>',) * 2,
        (
            '<group id="g" translate="no"><unit id="1"><segment><source>A</source></segment></unit>'
            '<unit id="2" translate="yes"><segment><source>B</source></segment></unit></group>',
            '<group id="g" translate="no"><unit id="1"><segment><source>A</source></segment></unit>'
            f'<unit id="2" translate="yes"><segment{MACHINE_2}><source>B</source><target>B</target></segment></unit>'
            "</group>",
        ),
    ],
)
def test_xliff_2_gets_targets(before, after):
    assert filled(xliff, second(before)).decode() == second(after)
    assert filled(xliff, second(after)).decode() == second(after)


def test_xliff_2_says_its_target_language():
    unit = '<unit id="1"><segment><source>A</source></segment></unit>'
    after = filled(xliff, second(unit, head=""))
    assert after.decode().startswith(second(head=' trgLang="de"').partition("\n")[0])
    assert filled(xliff, after) == after
    told = "a.xml, line 1 (trgLang) has no text of the language de, but of fr"
    assert refused(xliff, second(unit, head=' trgLang="fr"')).startswith(told)
    inherited = second(unit, about=' translate="no"')
    assert filled(xliff, inherited).decode() == inherited


# --- any document


CHARACTERS = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
PLAIN = st.text(CHARACTERS | st.sampled_from("<>&\"'\n\t \u2028\x85ab"), max_size=12)


@st.composite
def written(draw):
    """Some text as it may stand in XML."""
    text = draw(PLAIN)
    if draw(st.integers(0, 4)) == 0 and "]]>" not in text:
        return f"<![CDATA[{text}]]>"
    if draw(st.integers(0, 4)) == 0:
        return "".join(f"&#x{ord(character):x};" if character not in "\n\t" else "&#13;" for character in text)
    return escape(text) + draw(st.sampled_from(["", "", "<!-- > -->", "&quot;"]))


@st.composite
def content(draw, pieces, depth=2):
    """What may stand in a segment: text and tags."""
    found = []
    for _ in range(draw(st.integers(0, 3))):
        before, behind = draw(st.sampled_from(pieces))
        inside = draw(content(pieces, depth - 1)) if depth and behind else ""
        found += [draw(written()), before, inside, behind]
    return "".join([*found, draw(written())])


# Elements that stand for codes, and those that hold text: what begins and ends them.
TMX_TAGS = [
    ("<ph x='1' type=\"a > b\">&lt;br/&gt;</ph>", ""),
    ("<ph/>", ""),
    ("<hi type='\"'\n>", "</hi >"),
    ("<hi>", "</hi>"),
    ('<bpt i="1">{<sub>f\ng</sub></bpt>', '<ept i="1"></ept>'),
]
XLIFF_TAGS = [
    ("<x id='1' ctype=\"a > b\"/>", ""),
    ('<ph id="2">&lt;br/&gt;</ph>', ""),
    ("<g id='3'\n>", "</g >"),
    ('<mrk mtype="protected">Not <g id="4">this</g></mrk>', ""),
    ('<bpt id="5">{</bpt>', '<ept id="5"></ept>'),
]
XLIFF_2_TAGS = [
    ("<ph id='1' disp=\"a > b\"/>", ""),
    ("<pc id='3'\n>", "</pc >"),
    ('<sc id="4"/>', '<ec startRef="4"/>'),
    ('<cp hex="001a"/>', ""),
    ('<mrk id="m" translate="no">Not</mrk>', ""),
]
NAMES = "xliff|file|body|trans-unit|unit|segment|source|target|note|g|x|ph|mrk|bpt|ept|pc|sc|ec|cp"
ENCODINGS = [
    ("", "utf-8"),
    ('<?xml version="1.0"?>', "utf-8-sig"),
    ('<?xml version="1.0" encoding="utf-8" ?>', "utf-8"),
    ('<?xml version="1.0" encoding="UTF-16"?>', "utf-16"),
    ("", "utf-16"),
    ("\ufeff", "utf-16-be"),
    ('\ufeff<?xml version="1.0" encoding="utf-16"?>', "utf-16-be"),
]


@st.composite
def documents(draw):
    """A kind of document, and one of it."""
    kind = draw(st.sampled_from(["tmx", "1.2", "2.0"]))
    indent = draw(st.sampled_from(["", "\n", "\n\t\t"]))
    prefix = draw(st.sampled_from(["", "x:"])) if kind != "tmx" else ""
    tags = {"tmx": TMX_TAGS, "1.2": XLIFF_TAGS, "2.0": XLIFF_2_TAGS}[kind]
    units = []
    for number in range(draw(st.integers(1, 3))):
        texts = [draw(content(tags)) for _ in range(2)]
        has_target, extra = (
            draw(st.booleans()),
            draw(st.sampled_from(["", "<!-- <tuv> > -->", "<?a b?>", "<note>n</note>"])),
        )
        if kind == "tmx":
            attribute = draw(st.sampled_from(["xml:lang='{}'", 'x="\'>" xml:lang="{}"', 'lang="{}"\n']))
            sides = [
                f"{indent}<tuv {attribute.format(code)}>{indent}<seg>{text}</seg>{indent}</tuv>"
                for code, text in zip(["en", "de"][: 1 + has_target], texts, strict=False)
            ]
            sides.append(f'{indent}<tuv xml:lang="fr"><seg>f</seg></tuv>')
            units.append(f"<tu tuid='{number}'>{extra}{''.join(draw(st.permutations(sides)))}{indent}</tu>")
        else:
            sides = (
                f"{indent}<source>{texts[0]}</source>" + f"{indent}<target>{texts[1]}</target>" * has_target + indent
            )
            if kind == "1.2":
                units.append(f"<trans-unit id='{number}' x=\"'>\">{sides}{extra}</trans-unit >")
            else:
                units.append(f"<unit id='{number}'>{extra}<segment id='a>'>{sides}</segment></unit>")
    body = indent.join(units)
    if kind == "tmx":
        text = f"<tmx version='1.4'><header srclang='en'/><body>{body}</body></tmx>"
    elif kind == "1.2":
        text = f'<file source-language="en" target-language="de" xml:space="preserve"><body>{body}</body></file>'
        text = f'<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">{text}</xliff>'
    else:
        text = f'<file id="f" xml:space="preserve">{body}</file>'
        head = 'version="2.0" srcLang="en" trgLang="de" xmlns="urn:oasis:names:tc:xliff:document:2.0"'
        text = f"<xliff {head}>{text}</xliff>"
    if prefix:
        text = re.sub(rf"<(/?)({NAMES})(?=[ />\n])", r"<\1x:\2", text).replace('xmlns="', 'xmlns:x="')
    declaration, encoding = draw(st.sampled_from(ENCODINGS))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return kind, f"{declaration}{text}\n".replace("\n", end).encode(encoding)


def sides(kind, document):
    """The sources and targets of every unit, by lxml."""
    root = etree.fromstring(document)
    if kind == "tmx":
        for unit in root.iter("tu"):
            found = {
                variant.get(f"{XML}lang") or variant.get("lang"): variant.find("seg") for variant in unit.iter("tuv")
            }
            yield found.get("en"), found.get("de")
    else:
        for unit in root.iter("{*}trans-unit", "{*}segment"):
            yield unit.find("{*}source"), unit.find("{*}target")


def canonical(element):
    """What ``element`` contains."""
    element = copy.deepcopy(element)
    element.tag = "x"
    element.attrib.clear()
    return etree.tostring(element, method="c14n", exclusive=True, with_comments=False, with_tail=False)


@given(document=documents(), chunk=st.sampled_from([1, 2, 3, 5, 64]))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_any_document_is_the_same_with_targets(document, chunk):
    kind, before = document
    module = tmx if kind == "tmx" else xliff
    found = parts(module, before)
    after = b"".join(part.fill(part.texts) if isinstance(part, Slot) else part for part in found)

    # Without what was inserted it is what it was.
    if not any(target is not None for _, target in sides(kind, before)):
        stays = b"".join(part for part in found if isinstance(part, bytes))
        encoding = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}.get(before[:2], "utf-8")
        assert stays.replace(MACHINE_2.encode(encoding), b"") == before

    # A second time nothing changes, and where the reads end does not matter.
    assert filled(module, after) == after
    whole = markup._CHUNK
    markup._CHUNK = chunk
    try:
        assert filled(module, before) == after
    finally:
        markup._CHUNK = whole

    # Another reader finds in every target what is in its source, if it had none.
    for old, new in zip(sides(kind, before), sides(kind, after), strict=True):
        assert canonical(new[0]) == canonical(old[0])
        translated = old[1] is not None and any(text.strip() for text in _texts(old[1]))
        if translated:
            assert canonical(new[1]) == canonical(old[1])
        elif any(text.strip() for text in _texts(old[0])):
            assert canonical(new[1]) == canonical(old[0])


CODES = {"ph", "bpt", "ept", "x", "cp", "sc", "ec"}


def _texts(element):
    """Text outside of codes."""
    yield element.text or ""
    for child in element:
        if isinstance(child.tag, str):
            name = etree.QName(child).localname
            if name not in CODES and child.get("mtype") != "protected" and child.get("translate") != "no":
                yield from _texts(child)
        yield child.tail or ""


@given(document=documents(), data=st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_any_damage_is_refused_or_kept(document, data):
    """Nothing but a FormatError is raised for a document that has been cut or changed somewhere."""
    kind, before = document
    module = tmx if kind == "tmx" else xliff
    place = data.draw(st.integers(0, len(before)))
    more = data.draw(
        st.sampled_from([b"", b"<", b"&", b"<tuv>", b"<target/>", b"</source>", b"\x00", b"\xff", b"<seg/>"])
    )
    rest = data.draw(st.sampled_from([before[place:], before[place + 1 :], b""]))
    for read in (filled, pairs):
        with suppress(FormatError):
            read(module, before[:place] + more + rest)


@given(texts=st.lists(PLAIN.filter(str.strip), min_size=1, max_size=4), again=st.booleans())
@settings(max_examples=60, deadline=None)
def test_what_translate_toolkit_writes_is_filled(texts, again):
    for module, store, written_by in (
        (tmx, outside_tmx.tmxfile(), outside_tmx.tmxfile),
        (xliff, outside_xliff.xlifffile(), outside_xliff.xlifffile),
        (xliff, outside_xliff2.Xliff2File(), outside_xliff2.Xliff2File),
    ):
        store.setsourcelanguage("en")
        if module is xliff:
            store.settargetlanguage("de")
            for text in texts:
                store.addunit(store.UnitClass(text))
        else:
            for text in texts:
                store.addtranslation(text, "en", "alt" if again else "", "de")
        after = filled(module, bytes(store), again=again)
        units = written_by.parsestring(after).units
        assert [unit.source for unit in units] == [unit.source for unit in store.units]
        assert [str(unit.target) for unit in units] == [str(unit.source) for unit in units]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_read(encoding):
    content = '<tmx><body><tu><tuv xml:lang="en"><seg>{}</seg></tuv>{}</tu></body></tmx>'
    new = f'<tuv xml:lang="de"{MACHINE}><seg>ü</seg></tuv>'
    assert filled(tmx, content.format("ü", "").encode(encoding)) == content.format("ü", new).encode(encoding)


@pytest.mark.parametrize("read", [tmx.pairs, tmx.parts])
def test_a_large_memory_is_not_held(read):
    unit = f'<tu><tuv xml:lang="en"><seg>{"a" * 4000}</seg></tuv><tuv xml:lang="de"><seg>b</seg></tuv></tu>'
    file = io.BytesIO(memory(*[unit] * 2000).encode())  # 8 MB
    tracemalloc.start()
    try:
        collections.deque(read(file, "a.tmx", Wanted("en", "de")), maxlen=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


# --- translations that are hard to write


def test_a_translation_is_escaped():
    content = variants("en")
    said = "<b> & ]]> \" ' \r \x00\x0b\ud800\ufffe\U0001f600\n."
    after = filled(tmx, content, lambda text: Text(said))
    (target,) = (target for _, target in sides("tmx", after))
    assert target.text == "<b> & ]]> \" ' \r \U0001f600\n."
    assert filled(tmx, after) == after


def test_line_ends_in_a_translation_are_those_of_the_document():
    content = job('<trans-unit id="1"><source xml:space="preserve">A\nB</source></trans-unit>').replace("\n", "\r\n")
    after = filled(xliff, content).decode()
    assert after.count("\n") == after.count("\r\n")
    assert ">A\r\nB</target>" in after


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "windows-1252", "us-ascii", "koi8-r"])
def test_what_an_encoding_lacks_is_written_as_a_number(encoding):
    content = variants("en").replace("UTF-8", encoding).encode(encoding)
    after = filled(tmx, content, lambda text: Text("ü 你"))
    assert [target.text for _, target in sides("tmx", after)] == ["ü 你"]
    assert filled(tmx, after) == after


# --- what is refused


BILLION = (
    '<?xml version="1.0"?><!DOCTYPE tmx [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    '<tmx version="1.4"><body><tu><tuv xml:lang="en"><seg>&b;</seg></tuv></tu></body></tmx>'
)
OUTSIDE = BILLION.replace('"ha"', 'SYSTEM "file:///etc/hostname"').replace("&b;", "&a;")
PARAMETER = (
    BILLION.replace('ENTITY a "ha"', 'ENTITY % a SYSTEM "http://localhost/a.dtd"').replace("&a;", "").replace("&b;", "")
)


@pytest.mark.parametrize("read", [filled, pairs])
@pytest.mark.parametrize("module", [tmx, xliff])
@pytest.mark.parametrize("content", [BILLION, OUTSIDE, PARAMETER])
def test_entities_are_refused(content, module, read):
    told = refused(module, content, read)
    assert told.startswith(
        "a.xml, line 1: declares the entity a, which is not safe to read and never needed; write out"
    )


def test_unknown_entities_are_named():
    content = memory('<tu>\n<tuv xml:lang="en"><seg>&nbsp;</seg></tuv></tu>')
    told = refused(tmx, content)
    assert told == "a.xml, line 7: &nbsp; is not one of XML's entities; write the character itself"
    told = refused(tmx, content.replace('<!DOCTYPE tmx SYSTEM "tmx14.dtd">', ""))
    assert told == "a.xml, line 7, column 25: no well-formed XML: undefined entity"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "line 1, column 1: no well-formed XML: no element found"),
        ("hello", "line 1, column 1: no well-formed XML: syntax error"),
        ("<tmx>\n <a></b>\n</tmx>", "line 2, column 7: no well-formed XML: mismatched tag"),
        ("<tmx>\n  a & b</tmx>", "line 2, column 6: no well-formed XML: not well-formed (invalid token)"),
        ("<tmx>\n <a>", "line 2, column 5: no well-formed XML: no element found"),
        (b"<tmx>\n\xff</tmx>", "line 2, column 1: no well-formed XML: not well-formed (invalid token)"),
        ("<tmx/><tmx/>", "line 1, column 7: no well-formed XML: junk after document element"),
        ('<tmx a="1" a="2"/>', "line 1, column 12: no well-formed XML: duplicate attribute"),
    ],
)
def test_broken_xml_says_where(content, told, monkeypatch):
    assert refused(tmx, content) == f"a.xml, {told}"
    monkeypatch.setattr(markup, "_CHUNK", 1)
    assert refused(tmx, content, pairs) == f"a.xml, {told}"


@pytest.mark.parametrize("encoding", ["klingon", "Shift_JIS", "UTF8", "hex", "utf-7", "undefined", "idna"])
def test_unknown_encodings_are_named(encoding):
    told = (
        f"a.xml: its encoding {encoding} is not one that XML is read in; convert it to UTF-8, and say so in its first"
    )
    assert refused(tmx, variants("en").replace("UTF-8", encoding)).startswith(told)


def test_a_wrong_encoding_is_named():
    told = refused(tmx, variants("en").replace("UTF-8", "UTF-16"))
    assert told.startswith(
        "a.xml, line 1, column 31: no well-formed XML: encoding specified in XML declaration is incorrect"
    )
    assert told.endswith("; convert it to UTF-8, and say so there")


def test_deep_nesting_is_read():
    """No recursion, so no limit of it."""
    deep = 5000
    seg = "<hi>" * deep + "a" + "</hi>" * deep
    content = memory(f'<tu><tuv xml:lang="en"><seg>{seg}</seg></tuv></tu>')
    assert filled(tmx, content).decode().count(f"<seg>{seg}</seg>") == 2


def test_much_white_space_is_no_matter():
    """What would be tried anew at every blank would not end."""
    wide = " " * 200_000
    unit = f'<tu><tuv xml:lang="en"><seg>A</seg></tuv><tuv xml:lang="de"{wide}><seg{wide}/></tuv></tu>'
    after = filled(tmx, memory(unit))
    assert [target.text for _, target in sides("tmx", after)] == ["A"]
    unit = f'<unit id="1"><segment{wide}><source>A</source><target{wide}/></segment></unit>'
    assert [target.text for _, target in sides("2", filled(xliff, second(unit)))] == ["A"]


# --- to learn from


@pytest.mark.parametrize(("ending", "compress"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)])
def test_a_memory_is_read_as_a_corpus(ending, compress, tmp_path):
    """A pair a line, whatever line ends and tabs are in it."""
    content = variants("en", "de").replace("<seg>en<", "<seg>a\n\tb&#13;c\u2028d<")
    path = tmp_path / f"a.tmx{ending}"
    path.write_bytes(compress(content.encode()))
    corpus = read_tsv(path, Wanted("en", "de"))
    assert list(corpus.source) == ["a b c\u2028d"]
    assert list(corpus.target) == ["de"]


def test_a_memory_of_other_languages_is_no_corpus(tmp_path):
    path = tmp_path / "a.tmx"
    path.write_text(variants("en", "fr"))
    with pytest.raises(FormatError, match=r"a\.tmx has no text of the language de, but of en, fr$"):
        read_tsv(path, Wanted("en", "de"))


def test_what_a_machine_has_said_is_not_learnt():
    """Neither format's, until somebody approves it."""
    said = "<source>a</source><target state='needs-review-translation' state-qualifier='mt-suggestion'>b</target>"
    units = f"<trans-unit id='1'>{said}</trans-unit><trans-unit id='2' approved='yes'>{said}</trans-unit>"
    job = f"<xliff version='1.2'><file source-language='en' target-language='de'><body>{units}</body></file></xliff>"
    assert pairs(xliff, job) == [("a", "b")]
    segment = "<segment state='translated' {}><source>{}</source><target>b</target></segment>"
    units = segment.format("subState='nmt:machine'", "a") + segment.format("", "c")
    job = f"<xliff version='2.0' srcLang='en' trgLang='de'><file><unit>{units}</unit></file></xliff>"
    assert pairs(xliff, job) == [("c", "b")]
    unit = "<tu><tuv xml:lang='en'><seg>{}</seg></tuv><tuv xml:lang='de'{}><seg>b</seg></tuv></tu>"
    memory = f"<tmx><body>{unit.format('a', ' creationtool=' + repr('nmt'))}{unit.format('c', '')}</body></tmx>"
    assert pairs(tmx, memory) == [("c", "b")]
