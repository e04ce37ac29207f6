//! What texts become, and the exact words about what is wrong with them.

use super::super::source::Source;
use super::*;

/// The tree on one line, words that stood in quotes within `<>`; and the messages with their lines.
fn parsed(text: &[u8]) -> (String, Vec<String>) {
    let mut sources = Sources::default();
    sources.add(Source { name: "test.conf".into(), text: text.into(), included_from: None });
    let mut out = Vec::new();
    let known = |word: &[u8]| matches!(word, b"root" | b"listen" | b"index" | b"location");
    let nodes = parse(&sources, 0, &known, &mut out);
    let place = |d: &Diagnostic| d.span.map_or((0, 0), |span| sources.position(span));
    let line = |d: &Diagnostic| format!("{}:{} {}", place(d).0, place(d).1, d.message);
    (show(&nodes), out.iter().map(line).collect())
}

fn show(nodes: &[Node]) -> String {
    let word = |word: &Word| if word.quoted { format!("<{}>", word.show()) } else { word.show() };
    let one = |node: &Node| {
        let words: Vec<_> = std::iter::once(&node.name).chain(&node.args).map(word).collect();
        match &node.block {
            Some(block) => format!("{}{{{}}}", words.join(" "), show(block)),
            None => format!("{};", words.join(" ")),
        }
    };
    nodes.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn words() {
    let cases: &[(&[u8], &str)] = &[
        (b"", ""),
        (b"# only a comment", ""),
        (b"a b;c\td\r\n;", "a b; c d;"),
        (b"a b#c; # d\n e;", "a b#c; e;"),
        (b"a{b{c;}}d;", "a{b{c;}} d;"),
        (b"a \"b c\" 'd \"e\"';", "a <b c> <d \"e\">;"),
        (b"a \"\" '';", "a <> <>;"),
        (br#"a "\"\'\\\t\d" b\ c\;d\"e;"#, "a <\"'\\\t\\d> b\\ c\\;d\"e;"),
        (b"a 'x\ny';", "a <x\ny>;"),
        (b"a b\"c\"d;", "a b\"c\"d;"),
        (b"a ${b}c$d{e;}", "a ${b}c$d{e;}"),
        (b"a b{c;}", "a b{c;}"),
        (b"location ~ \"^/x{2}$\" {a;}", "location ~ <^/x{2}$>{a;}"),
        (b"location ~ ^/x\\{2}$ {a;}", "location ~ ^/x\\{2}${a;}"),
        (b"a b}c;", "a b}c;"),
        (b"if ($a = \"b\") {c;}", "if ($a = <b> ){c;}"),
        (b"\"a\" b;", "<a> b;"),
        (b"a \"b\"{c;}", "a <b>{c;}"),
        (b"a $$ $;", "a $$ $;"),
        (b"a ${{b};", "a ${{b};"),
        (b"a \xff\x00;", "a \u{fffd}\0;"),
        (b"a b\n  index;", "a b index;"),
    ];
    for (text, want) in cases {
        assert_eq!(parsed(text), ((*want).to_owned(), Vec::new()), "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn what_is_wrong() {
    let glued = "only a space, `;`, `{` or `)` may follow a closing quote";
    let cases: &[(&[u8], &str, &[&str])] = &[
        (b"a;}\nb;", "a; b;", &["1:3 unexpected `}`: no block is open here"]),
        (b"a{};b;", "a{} b;", &["1:4 unexpected `;`"]),
        (b"{a;}b;", "b;", &["1:1 unexpected `{`: no directive stands before it"]),
        (b"a 'b'c d;e;", "e;", &[&format!("1:6 {glued}")]),
        (b"a 'b'#c\n;", "", &[&format!("1:6 {glued}")]),
        (b"a{b c }d;", "a{b c;} d;", &["1:6 missing `;` at the end of `b`"]),
        (b"a b", "a b;", &["1:4 missing `;` at the end of `a`"]),
        (
            b"root a\nindex b\n",
            "root a; index b;",
            &["1:7 missing `;` at the end of `root`", "2:8 missing `;` at the end of `index`"],
        ),
        (
            b"{{",
            "",
            &[
                "1:1 unexpected `{`: no directive stands before it",
                "1:2 unexpected `{`: no directive stands before it",
                "1:2 this block is never closed: 2 `}` are missing",
            ],
        ),
        (b"  listen 1\n  location / {\n}", "listen 1; location /{}", &["1:11 missing `;` at the end of `listen`"]),
        (b"a{\n b;", "a{b;}", &["1:1 this block is never closed: a `}` is missing"]),
        (
            b"a {\n  b {\n    c;\n  d {\n    e;\n  }\n}",
            "a{b{c; d{e;}}}",
            &["2:3 this block is never closed: a `}` is missing"],
        ),
        (b"a {\n  b {\n    c;\n", "a{b{c;}}", &["2:3 this block is never closed: 2 `}` are missing"]),
        (
            b"a {\n  b {\n    c;\n  }\n  }\n  d;\n}\n",
            "a{b{c;}} d;",
            &["5:3 one `}` too many: this one ends a block that stands at another indentation"],
        ),
        (b"a {\nb {\nc;\n}\n}\n}\n", "a{b{c;}}", &["6:1 unexpected `}`: no block is open here"]),
        (b"a \"b;\nc \"d\";\ne;", "c <d>; e;", &["1:3 this quote is not closed on its line"]),
        (b"a 'b;\nc;", "c;", &["1:3 this quote is never closed"]),
        (
            b"\xEF\xBB\xBFa;",
            "a;",
            &["1:1 the file begins with a byte order mark, which would be part of the first word"],
        ),
        (b"a\\", "a\\;", &["1:3 missing `;` at the end of `a\\`"]),
        ("\u{a0}a;".as_bytes(), "\u{a0}a;", &["1:1 a no-break space (U+00A0) is taken as a letter of this word"]),
    ];
    for (text, tree, messages) in cases {
        let want: Vec<String> = messages.iter().map(|m| (*m).to_owned()).collect();
        assert_eq!(parsed(text), ((*tree).to_owned(), want), "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn spans_are_bytes_of_the_text() {
    let mut sources = Sources::default();
    let text = "ä 'ö' x {\n}".as_bytes();
    sources.add(Source { name: "test.conf".into(), text: text.into(), included_from: None });
    let nodes = parse(&sources, 0, &|_| false, &mut Vec::new());
    let slice = |span: Span| std::str::from_utf8(&text[span.start as usize..span.end as usize]);
    assert_eq!(slice(nodes[0].name.span), Ok("ä"));
    assert_eq!(slice(nodes[0].args[0].span), Ok("'ö'"));
    assert_eq!(slice(nodes[0].span), Ok("ä 'ö' x {"));
    assert_eq!(nodes[0].close.map(slice), Some(Ok("}")));
}

#[test]
fn monsters_end_soon_and_in_a_message() {
    // Unoptimised, the generated parser is a hundred times slower.
    let size = if cfg!(debug_assertions) { 20 << 10 } else { 10 << 20 };
    for text in [
        vec![b'{'; size],
        vec![b'}'; size],
        vec![b';'; size],
        vec![b'a'; size],
        vec![b'"'; size],
        vec![b'$'; size],
        vec![b'\\'; size],
        b"a{".repeat(size / 2),
        b"a 'b\n".repeat(size / 5),
        b"a\n".repeat(size / 2),
        (0..=255).cycle().take(size).collect(),
    ] {
        let (_, messages) = parsed(&text);
        assert!((1..=MAX_ERRORS + 1).contains(&messages.len()), "{:?} {}", &text[..2], messages.len());
    }
    let (tree, messages) = parsed(&[vec![b' '; size], b"a;".to_vec()].concat());
    assert_eq!((tree.as_str(), messages.len()), ("a;", 0));
    let depth = |n| parsed(&[b"a{".repeat(n), b"}".repeat(n)].concat()).1.len();
    assert_eq!((depth(MAX_DEPTH), depth(MAX_DEPTH + 1) > 0), (0, true));
}
