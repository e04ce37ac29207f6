//! Codes of what is wrong with the text as such: braces, quotes, semicolons, files.

use super::{Code, Kind, kind};

pub(super) const KINDS: &[Kind] = &[
    kind(
        Code::MissingSemicolon,
        "a `;` is missing",
        "Every directive without a block ends with `;`. The place shown is the end of the line that lacks it, where the `;` belongs, \
         not the line below that would be swallowed.",
        ["server {\n    listen 8080\n    root html;\n}\n", "server {\n    listen 8080;\n    root html;\n}\n"],
    ),
    kind(
        Code::UnclosedBlock,
        "a block is never closed",
        "A `{` has no `}`. The place shown is the directive that opened the block; where the indentation tells which inner block was \
         forgotten, that one is shown too.",
        [
            "server {\n    listen 8080;\n    location / {\n        root html;\n}\n",
            "server {\n    listen 8080;\n    location / {\n        root html;\n    }\n}\n",
        ],
    ),
    kind(
        Code::StrayBrace,
        "a `}` closes nothing",
        "There is one `}` more than there are open blocks. Often the one before it closed a block too early.",
        ["server {\n    listen 8080;\n}\n}\n", "server {\n    listen 8080;\n}\n"],
    ),
    kind(
        Code::StraySemicolon,
        "a `;` ends nothing",
        "A `;` stands where no directive was begun. A block ends with its `}` and takes no `;` behind it.",
        ["server {\n    listen 8080;\n};\n", "server {\n    listen 8080;\n}\n"],
    ),
    kind(
        Code::NamelessBlock,
        "a `{` without a directive",
        "A block begins with the name of a directive: `server {`, `location / {`.",
        ["{\n    listen 8080;\n}\n", "server {\n    listen 8080;\n}\n"],
    ),
    kind(
        Code::UnclosedQuote,
        "a quote is never closed",
        "A word that begins with `\"` or `'` goes on to the same quote, over line ends too. The place shown is the opening quote.",
        [
            "server {\n    listen 8080;\n    return 200 \"hello;\n}\n",
            "server {\n    listen 8080;\n    return 200 \"hello\";\n}\n",
        ],
    ),
    kind(
        Code::GluedToQuote,
        "a closing quote with something behind it",
        "Behind a closing quote stands a blank, `;`, `{` or `)`. Quote the whole word, or write `\\` before a quote inside it.",
        [
            "server {\n    listen 8080;\n    return 200 \"say \"hello\"\";\n}\n",
            "server {\n    listen 8080;\n    return 200 \"say \\\"hello\\\"\";\n}\n",
        ],
    ),
    kind(
        Code::ByteOrderMark,
        "the file begins with a byte order mark",
        "Some editors write three invisible bytes (a BOM) at the beginning of a file. They would be part of the first word. Save the \
         file as UTF-8 without BOM.",
        ["\u{feff}server {\n    listen 8080;\n}\n", "server {\n    listen 8080;\n}\n"],
    ),
    kind(
        Code::OddCharacter,
        "an invisible or look-alike character",
        "A no-break space, a zero-width space, a typographic quote or the like came in by copy and paste. It is taken as a letter of \
         the word, which is hardly meant. Write the plain ASCII character; in quotes such characters are left alone.",
        [
            "server {\n    listen 8080;\n    server_name \u{201c}localhost\u{201d};\n}\n",
            "server {\n    listen 8080;\n    server_name \"localhost\";\n}\n",
        ],
    ),
    kind(
        Code::TooLarge,
        "larger than any conf",
        "There are bounds, so that a file that is no conf ends in a message: 100 blocks within one another, 200,000 words in one \
         directive, 64 files that include one another, 20,000 files, 512 MiB in all.",
        [
            "a{a{a{a{a{a{a{a{a{a{ a{a{a{a{a{a{a{a{a{a{ a{a{a{a{a{a{a{a{a{a{ a{a{a{a{a{a{a{a{a{a{ a{a{a{a{a{a{a{a{a{a{\n\
             a{a{a{a{a{a{a{a{a{a{ a{a{a{a{a{a{a{a{a{a{ a{a{a{a{a{a{a{a{a{a{ a{a{a{a{a{a{a{a{a{a{ a{a{a{a{a{a{a{a{a{a{ a{\n",
            "server {\n    listen 8080;\n}\n",
        ],
    ),
    kind(
        Code::UnopenedBlock,
        "the `{` of a block is missing",
        "What belongs into the block was read as words of the line that should open it. What follows stands one level too far out then, so \
         nothing more is said of places and braces behind it: write the `{`, and test again.",
        [
            "server {\n    listen 8080;\n    location /a\n        root html;\n    }\n}\n",
            "server {\n    listen 8080;\n    location /a {\n        root html;\n    }\n}\n",
        ],
    ),
    kind(
        Code::UnquotedBrace,
        "a `{` in a word without quotes",
        "A `{` begins a block unless it stands in quotes, as in nginx, so a regex with a quantifier such as `{2,}` needs them.",
        [
            "server {\n    listen 8080;\n    location ~ ^/a{2,}$ {\n        return 204;\n    }\n}\n",
            "server {\n    listen 8080;\n    location ~ \"^/a{2,}$\" {\n        return 204;\n    }\n}\n",
        ],
    ),
    kind(
        Code::Unreadable,
        "a file of the conf cannot be read",
        "The file that `-c` or `include` names is not there, is a folder, or may not be read. A relative name starts at the folder of \
         the main conf file. A pattern such as `sites/*.conf` may match nothing.",
        ["http {\n    include sites/main.conf;\n}\n", "http {\n    include sites/*.conf;\n}\n"],
    ),
    kind(
        Code::IncludeCircle,
        "a file includes itself",
        "A file names itself in an `include`, or one that it includes does. The message lists the way around.",
        ["include longshore.conf;\n", "include sites/*.conf;\n"],
    ),
    kind(
        Code::IncludeShape,
        "`include` takes one file",
        "`include` is followed by one file name or one pattern, and by `;`.",
        ["http {\n    include a.conf b.conf;\n}\n", "http {\n    include sites/*.conf;\n}\n"],
    ),
];
