//! What a conf is told when a directive cannot be taken: a name nobody knows, a wrong place, too many words. The
//! messages come from the rows and from the reference of nginx's names.

use std::sync::Arc;

use super::block::Builder;
use super::blocks::{BLOCKS, BlockRow, IN_UPSTREAM, INDEX, contexts_of};
use super::foreign;
use super::rows::Row;
use super::{ROWS, Scope};
use crate::conf::args::Fault;
use crate::conf::ast::{Node, Word};
use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts};
use crate::conf::{reference, suggest};
use crate::features::unbuilt;

impl Builder {
    pub(super) fn block_fits(&mut self, node: &Node, block: &BlockRow, context: Contexts, before: &[&Node]) -> bool {
        if !block.contexts.meets(context) {
            self.misplaced(node, block.contexts, context);
            return false;
        }
        let given = node.args.len();
        let is_unopened = node.block.is_none() || given > block.arity.1;
        let another = |word: &&Word| !word.quoted && contexts_of(&word.text).is_some();
        if let Some(next) = node.args.iter().find(another).filter(|_| is_unopened) {
            let words = |shown: String, word: &Word| format!("{shown} {}", word.show());
            let own = node.args.iter().take_while(|word| !std::ptr::eq(*word, next));
            let opener = own.fold(block.name.to_string(), words);
            let fault = Fault::at(next, format!("has no `{{`: with `{}` another line begins already", next.show()));
            self.fault(node, fault.help(format!("write `{opener} {{`")).code(Code::UnopenedBlock));
            return false;
        }
        if given < block.arity.0 || given > block.arity.1 {
            let fault = miscounted(node, block.arity.0, block.arity.1);
            self.fault(
                node,
                fault.help(format!("write `{}`", form(block.name, block.syntax, true))).code(Code::WordCount),
            );
            return false;
        }
        if node.block.is_none() {
            let fault = Fault::new("has no block in `{ }`").code(Code::BlockOrNot);
            let fault = match block.name {
                "limit_except" => {
                    let methods: Vec<_> = node.args.iter().map(|word| word.show()).collect();
                    let methods = methods.join(" ");
                    fault.help(format!(
                        "write `allow_methods {methods};` (others get 405) or `limit_except {methods} {{ deny all; }}` (others get 403)"
                    ))
                }
                _ => fault.help(format!("write `{}`", form(block.name, block.syntax, true))),
            };
            self.fault(node, fault);
            return false;
        }
        let once = block.contexts == Contexts::MAIN || block.name == "limit_except";
        if let Some(first) = before.iter().find(|other| once && other.name.text == node.name.text) {
            let twice = Diagnostic::error(node.name.span, format!("`{}` is duplicate in this block", block.name));
            self.diagnostics
                .push(twice.code(Code::Duplicate).also(first.name.span, "first one here").help("join the two blocks"));
            return false;
        }
        true
    }

    /// A name that no row has: one of nginx's, another project's, or a slip.
    pub(super) fn foreign(&mut self, node: &Node, context: Contexts, scope: &mut Scope) {
        let name = node.name.show();
        if let Some(part) = suggest::unbuilt(&name) {
            let message = format!("`{name}` is not built yet: it belongs to {part}");
            return self.diagnostics.push(Diagnostic::error(node.name.span, message).code(Code::NotBuilt));
        }
        if let Some(known) = reference::lookup(&name) {
            if known.contexts == Contexts(0) {
                let message = format!("`{name}` of {} has no place here: that module is not built", known.module);
                return self.diagnostics.push(Diagnostic::error(node.name.span, message).code(Code::NotBuilt));
            }
            if !known.contexts.meets(context) {
                return self.misplaced(node, known.contexts, context);
            }
            self.define_unbuilt(node);
            if known.effect.is_none(&node.args) {
                if !self.without_effect.iter().any(|(other, _)| *other == name) {
                    self.without_effect.push((name, node.name.span));
                }
                return;
            }
            match unbuilt::kind(&name) {
                kind if self.load.partial && kind != unbuilt::Kind::Guard => {
                    Arc::make_mut(&mut scope.unbuilt).note(&name);
                    let message = format!("`{name}` of {} is not built yet and is left out", known.module);
                    self.diagnostics.push(Diagnostic::note(node.name.span, message));
                }
                kind => {
                    let message =
                        format!("`{name}` of {} is not built yet, and it would change what is served", known.module);
                    let diagnostic = Diagnostic::error(node.name.span, message).code(Code::NotBuilt);
                    let help = match kind {
                        unbuilt::Kind::Guard => "it guards access: remove it only if anybody may come in",
                        _ => "remove it if you can do without what it does; `--partial` starts the rest",
                    };
                    self.diagnostics.push(diagnostic.help(help));
                }
            }
            return;
        }
        let message = match name.is_empty() {
            true => "a directive's name stands here, not an empty word".into(),
            false => format!("unknown directive `{name}`"),
        };
        let diagnostic = Diagnostic::error(node.name.span, message).code(Code::UnknownDirective);
        let here = ROWS.iter().filter(|row| row.manual.contexts.meets(context)).map(|row| row.manual.name);
        let blocks = BLOCKS.iter().filter(|block| block.contexts.meets(context)).map(|block| block.name);
        let near = suggest::closest(&name, here.chain(blocks));
        let help = match (foreign::advice(node), near) {
            (Some(advice), _) => Some(advice),
            (None, near) => self.near_name(&name, near),
        };
        self.diagnostics.push(Diagnostic { help, ..diagnostic });
    }

    /// The name that may have been meant.
    fn near_name(&self, name: &str, near: Option<&str>) -> Option<String> {
        let all = ROWS.iter().map(|row| row.manual.name).chain(BLOCKS.iter().map(|block| block.name));
        match (suggest::spelling(name, |name| INDEX.contains_key(name)), near) {
            (Some(advice), _) => Some(advice),
            (None, Some(near)) => Some(format!("did you mean `{near}`?")),
            (None, None) => suggest::closest(name, all).map(|near| {
                let at = contexts_of(near.as_bytes()).map_or(String::new(), |at| at.names().join(", "));
                format!("did you mean `{near}`? It stands in {at}")
            }),
        }
    }

    /// The variable that a directive makes which is not built, so that its users are not called wrong too.
    pub(super) fn define_unbuilt(&mut self, node: &Node) {
        let makes = match node.name.text.as_slice() {
            b"perl_set" | b"js_set" | b"auth_request_set" => node.args.first(),
            b"map" | b"geo" | b"split_clients" => node.args.last(),
            _ => None,
        };
        if let Some(name) = makes.map(|word| word.show())
            && let Some(name) = name.strip_prefix('$')
        {
            self.load.names.define(&name.to_ascii_lowercase());
        }
    }

    pub(super) fn misplaced(&mut self, node: &Node, allowed: Contexts, context: Contexts) {
        let (name, here) = (node.name.show(), context.names().join(", "));
        let message = format!("`{name}` is not allowed in {here}");
        let help = format!("`{name}` is allowed in {}", allowed.names().join(", "));
        self.diagnostics.push(Diagnostic::error(node.name.span, message).code(Code::WrongPlace).help(help));
    }

    pub(super) fn fault(&mut self, node: &Node, fault: Fault) {
        let message = format!("`{}` {}", node.name.show(), fault.message);
        let span = fault.span.unwrap_or(node.name.span);
        let diagnostic = Diagnostic::error(span, message).code(fault.code);
        let help = meant(node, &fault).map(|word| format!("did you mean `{word}`?")).or(fault.help);
        self.diagnostics.push(Diagnostic { help, also: fault.also, ..diagnostic });
    }
}

/// The word that may have been meant by one that is not taken: of those in the directive's syntax and in the message.
fn meant(node: &Node, fault: &Fault) -> Option<String> {
    let names_others = ["unknown parameter", "invalid parameter"].iter().any(|words| fault.message.contains(words));
    if fault.code != Code::WrongValue || fault.help.is_some() && !names_others {
        return None;
    }
    let word = node.args.iter().find(|word| Some(word.span) == fault.span)?.show();
    let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
    let directive = node.name.show();
    let rows = [&INDEX, &IN_UPSTREAM].into_iter().filter_map(|index| index.get(directive.as_str()));
    let listed = fault.message.split('`').skip(1).step_by(2);
    let syntaxes = rows.flat_map(|row| row.manual.syntax.iter().copied());
    let texts = syntaxes.chain(listed).chain(fault.help.as_deref());
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let known =
        texts.flat_map(|text| text.split(|c: char| !is_part(c))).filter(|known| !known.is_empty() && *known != name);
    let near = suggest::closest(name, known).filter(|near| !word.starts_with(near))?;
    Some(value.map_or(near.to_string(), |value| format!("{near}={value}")))
}

/// Checks braces and the number of words.
pub(super) fn check_shape(node: &Node, row: &Row) -> Result<(), Fault> {
    let manual = row.manual;
    let forms: Vec<_> =
        manual.syntax.iter().map(|syntax| format!("`{}`", form(manual.name, syntax, manual.block))).collect();
    let help = || format!("write {}", forms.join(" or "));
    if manual.block != node.block.is_some() {
        let message = if manual.block { "has no block in `{ }`" } else { "takes no block; it ends with `;`" };
        return Err(Fault::new(message).help(help()).code(Code::BlockOrNot));
    }
    if let Some(word) = node.args.first().filter(|word| !word.quoted && word.text == b"=" && node.args.len() > 1) {
        let rest: Vec<_> = node.args.iter().skip(1).map(|word| word.show()).collect();
        let fault = Fault::at(word, "takes no `=`: a value follows its name").code(Code::WordCount);
        return Err(fault.help(format!("write `{} {};`", manual.name, rest.join(" "))));
    }
    let given = node.args.len();
    let (least, most) = match manual.arity {
        Arity::Flag => (1, 1),
        Arity::Words(least, most) => (usize::from(least), usize::from(most)),
        Arity::AtLeast(least) => (usize::from(least), usize::MAX),
    };
    match given {
        n if n < least || n > most => Err(miscounted(node, least, most).help(help()).code(Code::WordCount)),
        _ if manual.arity == Arity::Flag
            && !matches!(node.args[0].text.to_ascii_lowercase().as_slice(), b"on" | b"off") =>
        {
            Err(Fault::at(&node.args[0], format!("takes `on` or `off`, not `{}`", node.args[0].show())))
        }
        _ => Ok(()),
    }
}

/// What is said of a directive with too few or too many words.
fn miscounted(node: &Node, least: usize, most: usize) -> Fault {
    let words = |n: usize| if n == 1 { "one word".to_string() } else { format!("{n} words") };
    let given = node.args.len();
    match node.args.get(most) {
        Some(word) if most == 0 => Fault::at(word, "takes nothing after its name"),
        Some(word) if least == most => Fault::at(word, format!("takes {}, not {given}", words(most))),
        Some(word) => Fault::at(word, format!("takes at most {}, not {given}", words(most))),
        None if given == 0 && least == 1 => Fault::new("needs a word after its name"),
        None if least == most => Fault::new(format!("takes {}, not {given}", words(least))),
        None => Fault::new(format!("takes at least {}, not {given}", words(least))),
    }
}

fn form(name: &str, syntax: &str, block: bool) -> String {
    let end = if block { " { ... }" } else { ";" };
    match syntax {
        "" => format!("{name}{end}"),
        _ => format!("{name} {syntax}{end}"),
    }
}
