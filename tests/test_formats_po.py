"""PO and POT, read and filled; gettext's own msgfmt, polib and translate-toolkit say whether that is right."""

import io
import re
import shutil
import subprocess
from contextlib import suppress

import polib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from translate.storage import pypo

from nmt.formats import po
from nmt.formats.document import FormatError, Slot, Text, Wanted

HEADER = """msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\\n"
"""


def filled(content, target="de", again=False, engine=lambda text: text):
    """``content`` with every slot filled by ``engine``."""
    content = content if isinstance(content, bytes) else content.encode()
    parts = po.parts(io.BytesIO(content), "a.po", Wanted("en", target, again=again))
    return b"".join(
        part.fill([Text(engine(text.plain)) for text in part.texts]) if isinstance(part, Slot) else part
        for part in parts
    )


def pairs(content, target="de"):
    content = content if isinstance(content, bytes) else content.encode()
    return [pair[:2] for pair in po.pairs(io.BytesIO(content), "a.po", Wanted("en", target))]


def refused(content, read=filled, **how):
    with pytest.raises(FormatError) as caught:
        read(content, **how)
    return str(caught.value)


def accepted(content, tmp_path):
    """What msgfmt, which is strict, makes of ``content``: the messages of the compiled file, fuzzy ones too."""
    if not shutil.which("msgfmt"):
        pytest.skip("msgfmt, of gettext, is not installed")
    (tmp_path / "a.po").write_bytes(content)
    command = ["msgfmt", "-c", "--use-fuzzy", "-o", "a.mo", "a.po"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    return polib.mofile(str(tmp_path / "a.mo"))


# --- what stays, and what is filled


def test_only_the_msgstr_and_the_flag_change():
    before = (
        HEADER
        + """
# Of a translator.
#. Of a programmer.
#: a.c:1 b.c:2
#, c-format
#| msgid "Old %s"
msgctxt "menu"
msgid "New %s"
msgstr ""

#: c.c:3
msgid "Done"
msgstr "Fertig"
"""
    )
    after = before.replace("#, c-format", "#, fuzzy, c-format").replace(
        '"New %s"\nmsgstr ""', '"New %s"\nmsgstr "New %s"'
    )
    assert filled(before).decode() == after
    assert filled(after).decode() == after


def test_a_flag_stands_before_what_was_said_before():
    before = HEADER + '\n#: a.c:1\n#| msgid "Old"\nmsgid "New"\nmsgstr ""\n'
    after = HEADER + '\n#: a.c:1\n#, fuzzy\n#| msgid "Old"\nmsgid "New"\nmsgstr "New"\n'
    assert filled(before).decode() == after


def test_what_is_fuzzy_already_is_so_once():
    before = HEADER + '\n#, fuzzy\nmsgid "New"\nmsgstr ""\n'
    assert filled(before).decode() == HEADER + '\n#, fuzzy\nmsgid "New"\nmsgstr "New"\n'


@pytest.mark.parametrize("flags", ["#,c-format", "#,fuzzy,c-format", "#, c-format, no-wrap", "#,"])
def test_flags_of_every_spelling_are_kept(flags, tmp_path):
    after = filled(f'{HEADER}\n{flags}\nmsgid "New"\nmsgstr ""\n')
    accepted(after, tmp_path)
    kept = set(re.findall(r"[\w-]+", flags)) | {"fuzzy"}
    line = after.decode().splitlines()[4]
    assert sorted(re.findall(r"[\w-]+", line)) == sorted(kept)


def test_translations_are_replaced_only_if_asked():
    before = HEADER + '\nmsgid "New"\nmsgstr ""\n"Alt "\n\n"und alt"\n# end\n'
    assert filled(before).decode() == before
    assert filled(before, again=True).decode() == HEADER + '\n#, fuzzy\nmsgid "New"\nmsgstr "New"\n# end\n'


def test_obsolete_entries_stay_wherever_they_are():
    before = (
        '#~ msgid "first"\n#~ msgstr ""\n'
        + HEADER
        + '\n#, fuzzy\n#~| msgid "older"\n#~ msgid "old"\n#~ msgstr ""\n'
        + '\nmsgid "New"\nmsgstr ""\n#~ msgid "last"\n#~ msgstr "zuletzt"\n#~ "er"\n# behind it all\n#\n'
    )
    after = before.replace('msgid "New"\nmsgstr ""', '#, fuzzy\nmsgid "New"\nmsgstr "New"')
    assert filled(before).decode() == after
    assert pairs(before.replace('"New"\nmsgstr ""', '"New"\nmsgstr "Neu"')) == [("New", "Neu")]


def test_one_id_may_be_of_several_contexts(tmp_path):
    before = HEADER + "".join(
        f'\n{context}msgid "Open"\nmsgstr ""\n' for context in ("", 'msgctxt ""\n', 'msgctxt "a"\n')
    )
    after = filled(before, engine=str.upper)
    assert {(entry.msgctxt, entry.msgstr) for entry in accepted(after, tmp_path) if entry.msgid} == {
        (None, "OPEN"),
        ("", "OPEN"),
        ("a", "OPEN"),
    }


def test_an_id_that_says_nothing_stays():
    before = HEADER + '\nmsgctxt "a"\nmsgid ""\nmsgstr ""\n\nmsgid " \\n"\nmsgstr ""\n'
    assert filled(before, again=True).decode() == before


def test_one_id_may_be_obsolete_too():
    before = HEADER + '\nmsgid "Open"\nmsgstr ""\n\n#~ msgid "Open"\n#~ msgstr "Offen"\n'
    assert filled(before).endswith(b'msgstr "Open"\n\n#~ msgid "Open"\n#~ msgstr "Offen"\n')


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_and_the_mark_are_kept(end, mark, last):
    before = HEADER + '\nmsgid "a\\nb\\n"\nmsgstr ""'
    after = HEADER + '\n#, fuzzy\nmsgid "a\\nb\\n"\nmsgstr ""\n"a\\n"\n"b\\n"'
    before, after = (mark + f"{text}{chr(10) * last}".replace("\n", end).encode() for text in (before, after))
    assert filled(before) == after


def test_text_of_several_lines_stays_so(tmp_path):
    before = HEADER + '\nmsgid ""\n"\\n"\n"Two \\"lines\\"\\n"\n"and\\ta \\\\ \\n"\nmsgstr ""\n'
    entry = next(entry for entry in accepted(filled(before), tmp_path) if entry.msgid)
    assert entry.msgstr == entry.msgid == '\nTwo "lines"\nand\ta \\ \n'


def test_separators_and_control_characters_are_text(tmp_path):
    text = "a\u2028b\x85c\x0bd\x0ce\x1cf\u2029g"
    before = f'{HEADER}\n# \u2028a\x0c comment\nmsgid "{text}"\nmsgstr ""\n'
    after = filled(before).decode()
    assert f'# \u2028a\x0c comment\n#, fuzzy\nmsgid "{text}"\nmsgstr "' in after
    entry = next(entry for entry in accepted(after.encode(), tmp_path) if entry.msgid)
    assert entry.msgstr == entry.msgid == text


def test_escapes_are_those_of_c(tmp_path):
    before = (
        HEADER
        + r"""
msgid "\101\x42 \a\b\f\v\t\r\\n"
msgstr ""
"""
    )
    entry = next(entry for entry in accepted(filled(before), tmp_path) if entry.msgid)
    assert entry.msgstr == entry.msgid == "AB \a\b\f\v\t\r\\n"


def test_blanks_before_keywords_and_none_behind(tmp_path):
    before = f'{HEADER}\n  msgid"a"\n\tmsgstr""\n\n#no blank\nmsgid "b"\nmsgstr   ""  \n'
    found = accepted(filled(before), tmp_path)
    assert {entry.msgid: entry.msgstr for entry in found if entry.msgid} == {"a": "a", "b": "b"}


def test_legacy_encodings_are_kept_byte_by_byte():
    # 0x8790 and 0x81e0 are the same character of Unicode, which is written as the latter.
    header = HEADER.replace("UTF-8", "cp932").encode()
    before = header + b'\n# \x87\x90\nmsgid "\x83\x5c"\nmsgstr ""\n'
    after = header + b'\n# \x87\x90\nmsgid "a"\nmsgstr "\x87\x90"\n' + before[len(header) :]
    again = filled(after, "ja")
    assert again.startswith(header + b'\n# \x87\x90\nmsgid "a"\nmsgstr "\x87\x90"\n')
    assert again.endswith(b'msgid "\x83\x5c"\nmsgstr "\x83\x5c"\n')


# --- the header


TEMPLATE = """# SOME DESCRIPTIVE TITLE.
#
#, fuzzy
msgid ""
msgstr ""
"Project-Id-Version: PACKAGE VERSION\\n"
"PO-Revision-Date: YEAR-MO-DA HO:MI+ZONE\\n"
"Last-Translator: FULL NAME <EMAIL@ADDRESS>\\n"
"Language-Team: LANGUAGE <LL@li.org>\\n"
"X-Source-Language: \\n"
"Language: \\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=CHARSET\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: nplurals=INTEGER; plural=EXPRESSION;\\n"

msgid "a file"
msgid_plural "%d files"
msgstr[0] ""
msgstr[1] ""
"""


# The forms of these languages, and that of one, by the manual of gettext (Arabic: by CLDR).
@pytest.mark.parametrize(
    ("language", "forms", "one"), [("ja", 1, None), ("de", 2, 0), ("fr", 2, 0), ("pl", 3, 0), ("ar", 6, 1)]
)
def test_a_template_gets_the_forms_of_its_language(language, forms, one, tmp_path):
    after = filled(TEMPLATE, language, engine=lambda text: f"<{text}>")
    accepted(after, tmp_path)
    found = polib.pofile(after.decode())
    assert found.metadata["Language"] == language
    assert found.metadata["X-Source-Language"] == ""
    assert found.metadata["Content-Type"] == "text/plain; charset=UTF-8"
    expected = {form: "<a file>" if form == one else "<%d files>" for form in range(forms)}
    assert found[0].msgstr_plural == expected
    assert filled(after, language) == after


def test_the_header_chooses_the_forms(tmp_path):
    header = HEADER + '"Plural-Forms: nplurals=3; plural=(n == 0 ? 0 : n == 1 ? 1 : 2);\\n"\n'
    after = filled(header + '\nmsgid "a"\nmsgid_plural "many"\nmsgstr[0] ""\n')
    assert accepted(after, tmp_path)
    assert polib.pofile(after.decode())[0].msgstr_plural == {0: "many", 1: "a", 2: "many"}


@pytest.mark.parametrize(
    "header",
    [
        HEADER,
        HEADER.replace("\n", "\r\n"),
        HEADER.replace('msgstr ""\n', "msgstr "),  # all in one line
        HEADER.replace('\\n"\n', '"\n'),  # which does not end
        HEADER + '"Plural-Forms: \\n"\n',
        HEADER + '"Language: \\n"\n"X-Last: a\\n"\n',
    ],
)
def test_a_header_without_plural_forms_gets_them(header, tmp_path):
    after = filled(header + '\nmsgid "a"\nmsgid_plural "many"\nmsgstr[0] ""\nmsgstr[1] ""\n')
    accepted(after, tmp_path)
    found = polib.pofile(after.decode())
    assert re.fullmatch(r"nplurals=2; plural=.*;", found.metadata["Plural-Forms"])
    assert found.metadata["Content-Type"] == "text/plain; charset=UTF-8"
    assert filled(after) == after


def test_a_region_is_written_with_an_underline():
    assert b'"Language: pt_BR\\n"' in filled(TEMPLATE, "pt-BR")


def test_a_header_may_be_missing_or_say_nothing():
    entry = '# of the entry\nmsgid "New"\nmsgstr ""\n'
    after = '# of the entry\n#, fuzzy\nmsgid "New"\nmsgstr "New"\n'
    assert filled(entry).decode() == after
    assert filled('msgid ""\nmsgstr ""\n\n' + entry).decode() == 'msgid ""\nmsgstr ""\n\n' + after


def test_a_header_may_stand_behind_an_entry():
    before = 'msgid "a"\nmsgstr ""\n\n' + HEADER + '\nmsgid "b"\nmsgstr ""\n'
    after = '#, fuzzy\nmsgid "a"\nmsgstr "a"\n\n' + HEADER + '\n#, fuzzy\nmsgid "b"\nmsgstr "b"\n'
    assert filled(before).decode() == after


def test_a_text_about_charsets_is_no_header():
    before = 'msgid "of charset=latin-1, ü"\nmsgstr ""\n'
    assert 'msgstr "of charset=latin-1, ü"' in filled(before).decode()


# --- to learn from


def test_what_is_translated_is_read():
    header = HEADER + '"Plural-Forms: nplurals=3; plural=(n==1 ? 0 : n%10>=2 ? 1 : 2);\\n"\n'
    content = (
        header
        + '\nmsgid "a"\nmsgstr "A"\n\n#, fuzzy\nmsgid "b"\nmsgstr "B"\n\nmsgid "c"\nmsgstr ""\n'
        + '\nmsgid "one\\n\\ntwo\\n"\nmsgstr "eins\\n\\nzwei\\n"\n\nmsgid "x\\ny"\nmsgstr "X Y"\n'
        + '\nmsgid "file"\nmsgid_plural "files"\nmsgstr[0] "plik"\nmsgstr[1] "pliki"\nmsgstr[2] "plików"\n'
    )
    assert pairs(content, "pl") == [
        ("a", "A"),
        ("one", "eins"),
        ("two", "zwei"),
        ("x\ny", "X Y"),
        ("file", "plik"),
        ("files", "plików"),
    ]


def test_the_form_of_one_is_what_the_header_says_and_fuzzy_plurals_are_not_learnt():
    content = HEADER + '"Plural-Forms: nplurals=3; plural=(n == 0 ? 0 : n == 1 ? 1 : 2);\\n"\n'
    content += '\nmsgid "file"\nmsgid_plural "files"\nmsgstr[0] "nic"\nmsgstr[1] "plik"\nmsgstr[2] "plików"\n'
    content += '\n#, fuzzy\nmsgid "a"\nmsgid_plural "b"\nmsgstr[0] "x"\nmsgstr[1] "y"\nmsgstr[2] "z"\n'
    assert pairs(content, "pl") == [("file", "plik"), ("files", "plików")]


def test_of_one_form_there_is_the_plural_to_learn():
    content = HEADER + '\nmsgid "file"\nmsgid_plural "files"\nmsgstr[0] "ファイル"\n'
    assert pairs(content, "ja") == [("files", "ファイル")]


# --- files made by others, and any


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('\n\t"\\%\u2028\x0b'), max_size=30)


@given(
    entries=st.lists(
        st.tuples(TEXTS.filter(str.strip), st.none() | TEXTS, st.none() | TEXTS, TEXTS, st.booleans()),
        unique_by=lambda entry: entry[:2],
        max_size=6,
        min_size=1,
    ),
    width=st.sampled_from([20, 78, -1]),
)
@settings(max_examples=80, deadline=None)
def test_what_polib_writes_is_filled(entries, width):
    catalogue = polib.POFile(wrapwidth=width)
    catalogue.metadata = {"Content-Type": "text/plain; charset=UTF-8", "Language": "pl"}
    for msgid, context, plural, comment, obsolete in entries:
        catalogue.append(
            polib.POEntry(
                msgid=msgid,
                msgctxt=context,
                msgid_plural=plural or "",
                msgstr_plural={0: "", 1: ""} if plural else {},
                comment=comment,
                obsolete=obsolete and not plural,
            )
        )
    before = str(catalogue)
    if any(map(_is_cut, before.split("\n"))):
        return  # polib writes some separators as they are and then takes them for line ends
    after = filled(before, "pl")
    assert filled(after, "pl") == after
    for entry in _outside(after):
        if entry.isheader() or entry.isobsolete() or not entry.source.strip():
            continue
        sources = [str(source) for source in getattr(entry.source, "strings", [entry.source])]
        targets = [str(target) for target in getattr(entry.target, "strings", [entry.target])]
        assert entry.isfuzzy()
        assert targets == ([sources[0], sources[1], sources[1]] if len(sources) > 1 else sources)


def _is_cut(line):
    return len(line.splitlines()) > 1 or line.strip() != line.strip(" ")


def _outside(content):
    return pypo.pofile(io.BytesIO(content)).units


@given(
    entries=st.lists(
        st.tuples(
            TEXTS.filter(str.strip), st.sampled_from(["", "# über\n", "#, c-format\n", '#| msgid "x"\n', "#\n\n"])
        ),
        unique_by=lambda entry: entry[0],
        min_size=1,
        max_size=5,
    ),
    end=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    wide=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_what_was_filled_is_all_that_changes(entries, end, mark, wide):
    """Whatever is written in the place of a text, the other bytes are those of the document."""
    before = HEADER
    for text, comment in entries:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
        before += f'\n{comment}msgid {chr(34) * 2 + chr(10) if wide else ""}"{escaped}"\nmsgstr ""\n'
    before = mark + before.replace("\n", end).encode()
    after = filled(before, engine=lambda text: "ü")
    empty = f'msgstr ""{end}'.encode()
    again = after.replace(f'msgstr "ü"{end}'.encode(), empty)
    again = again.replace(b"#, fuzzy, ", b"#, ").replace(f"#, fuzzy{end}".encode(), b"")
    assert again == before
    assert after.count('msgstr "ü"'.encode()) == len(entries)


@given(st.lists(TEXTS, max_size=4))
@settings(max_examples=80, deadline=None)
def test_any_text_is_refused_or_kept(lines):
    """Nothing but a FormatError is raised for it."""
    with suppress(FormatError):
        filled("\n".join(lines))


@given(
    st.lists(
        st.sampled_from(
            [
                'msgid "a"',
                'msgstr ""',
                '"b"',
                '#~ msgid "c"',
                "#, x",
                'msgstr[0] ""',
                'msgid_plural "d"',
                'msgctxt "e"',
                '#~ msgstr ""',
                "",
                '#~ "f"',
            ]
        ),
        max_size=9,
    )
)
@settings(max_examples=400, deadline=None)
def test_any_order_of_lines_is_refused_or_filled(lines):
    with suppress(FormatError):
        after = filled("\n".join(lines))
        assert filled(after) == after


def test_what_msgfmt_is_given_by_translate_toolkit(tmp_path):
    store = pypo.pofile()
    store.updateheader(add=True, Content_Type="text/plain; charset=UTF-8", Language="pl", MIME_Version="1.0")
    for source in ("One", "Two %s\n", 'a "quoted" \\ one' * 9):
        store.addsourceunit(source).addnote("a note", origin="developer")
    after = filled(bytes(store), "pl")
    found = {entry.msgid: entry.msgstr for entry in accepted(after, tmp_path) if entry.msgid}
    assert len(found) == 3
    assert all(source == target for source, target in found.items())


# --- what is refused


def test_duplicates_are_named():
    content = HEADER + '\nmsgid "a"\nmsgstr ""\n\n# again\nmsgid "a"\nmsgstr "A"\n'
    assert refused(content) == (
        "a.po, line 9: msgid 'a' is there already, in line 5; expected it once: msguniq merges them"
    )
    content = HEADER + '\nmsgctxt "x"\nmsgid "a"\nmsgstr ""\n' * 2
    assert "line 9: msgid 'a' of the context 'x' is there already, in line 5" in refused(content)


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ('msgid "a', 5),
        ('msgid "a"b"', 5),
        ("msgid a", 5),
        ('msgfoo "a"', 5),
        ("hello", 5),
        ('"a"', 5),
        ('msgstr[x] ""', 5),
    ],
)
def test_lines_of_other_kinds_are_named(line, number):
    content = f'{HEADER}\n{line}\nmsgstr ""\n'
    content = content.replace(HEADER, "#\n#\n#\n") if line.startswith('"') else content
    told = refused(content)
    assert told.startswith(f"a.po, line {number}: ")
    assert "expected a comment, msgid or the like and a text" in told


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ('msgid "a"', "line 5: this entry is not whole; expected msgid and msgstr"),
        ('msgctxt "a"\nmsgstr ""', "line 5: this entry is not whole; expected msgid and msgstr"),
        (
            'msgid "a"\nmsgid_plural "b"\nmsgstr ""',
            "line 5: this entry is not whole; expected msgid_plural and msgstr[0]",
        ),
        ('msgid "a"\nmsgstr[0] ""', "line 5: this entry is not whole; expected msgid and msgstr"),
        ('msgid "a"\nmsgstr ""\nmsgstr[0] ""', "line 5: this entry is not whole; expected msgid and msgstr, each once"),
        ('msgid "a"\n#~ msgstr ""', "line 6: expected #~ before all lines of an entry, or none"),
        ('#~ msgid "a"\nmsgstr ""', "line 6: expected #~ before all lines of an entry, or none"),
        ('msgid "a"\nmsgstr ""\nmsgstr "b"', "line 7: a second msgstr in one entry; expected one"),
        ('msgid "a"\nmsgid "b"\nmsgstr ""', "line 6: a second msgid in one entry; expected one"),
        ('msgid "a"\nmsgid_plural "b"\nmsgstr[0] ""\nmsgstr[0] ""', "line 8: a second msgstr[0] in one entry"),
    ],
)
def test_incomplete_entries_are_named(entry, told):
    assert told in refused(f"{HEADER}\n{entry}\n")


def test_other_languages_are_named():
    content = HEADER + '"Language: fr\\n"\n\nmsgid "a"\nmsgstr "b"\n'
    told = "a.po (its header's Language) has no text of the language de, but of fr"
    assert refused(content).startswith(told)
    assert refused(content, pairs).startswith(told)
    assert pairs(content, "fr-CA") == [("a", "b")]


@pytest.mark.parametrize("encoding", ["klingon", "hex", "utf-16", "undefined"])
def test_unknown_encodings_are_named(encoding):
    told = refused(HEADER.replace("UTF-8", encoding) + '\nmsgid "a"\nmsgstr ""\n')
    assert f"its encoding {encoding} is not one that a PO file can have; convert it: msgconv -t UTF-8" in told


def test_wrong_bytes_are_named():
    told = refused(HEADER.encode() + b'\nmsgid "a"\nmsgstr ""\n# \xff\n')
    assert told.startswith("a.po, line 7: byte 0xff is not valid UTF-8, which is what its header says")


def test_what_an_encoding_lacks_is_named():
    content = HEADER.replace("UTF-8", "ISO-8859-1") + '\nmsgid "a"\nmsgstr ""\n'
    assert filled(content, engine=lambda text: "ü").endswith(b'msgstr "\xfc"\n')
    told = refused(content, engine=lambda text: "ł")
    assert told == "a.po, line 5: ISO-8859-1 has no 'ł'; convert the file first: msgconv -t UTF-8"


def test_a_mark_says_more_than_the_header():
    content = b"\xef\xbb\xbf" + HEADER.replace("UTF-8", "ISO-8859-1").encode() + '\nmsgid "ü"\nmsgstr ""\n'.encode()
    assert filled(content).endswith('msgid "ü"\nmsgstr "ü"\n'.encode())


@pytest.mark.parametrize("plural", ["n !== 1", "1/0", "n ? 1", "__import__"])
def test_wrong_plurals_are_named(plural):
    content = f'{HEADER}"Plural-Forms: nplurals=2; plural={plural};\\n"\n'
    content += '\nmsgid "a"\nmsgid_plural "b"\nmsgstr[0] ""\n'
    assert f"a.po: its header's plural={plural!r} is wrong: " in refused(content)


@pytest.mark.parametrize("forms", ["0", "11", "999999999"])
def test_wrong_numbers_of_forms_are_named(forms):
    content = f'{HEADER}"Plural-Forms: nplurals={forms}; plural=0;\\n"\n\nmsgid "a"\nmsgstr ""\n'
    assert f"its header's nplurals={forms} is wrong; expected from 1 to 10, for de 2" in refused(content)


@pytest.mark.parametrize("content", ["", "\n\n", "# comment\n", HEADER])
def test_without_entries_there_is_nothing_to_do(content):
    assert refused(content) == refused(content, pairs) == "a.po has no entries; expected msgid and msgstr"


def test_without_translations_there_is_nothing_to_learn():
    content = HEADER + '\nmsgid "a"\nmsgstr ""\n\n#, fuzzy\nmsgid "b"\nmsgstr "c"\n'
    assert refused(content, pairs) == "a.po: none of its entries is translated; expected translations to learn from"


def test_much_white_space_is_no_matter():
    """What would be tried anew at every blank would not end."""
    wide = " " * 200_000
    before = f'{HEADER}\nmsgid{wide}"a"\nmsgstr{wide}""\n#~{wide}\n'
    assert 'msgstr "a"' in filled(before).decode()
    assert "line 7: " in refused(f'{HEADER}\nmsgid "a"\nmsgstr ""\n#~{wide}x\n')
    assert "line 5: " in refused(f"{HEADER}\nmsgid{wide}a\n")
