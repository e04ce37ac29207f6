//! What was found, for people: at most a hundred columns, one thing after the other, each with its line of the conf.

use std::collections::HashMap;
use std::path::Path;

use super::finding::{Decision, End, Finding, Line, Setting};
use crate::exchange::trace::Act;
use crate::http::{escape, status};

/// Columns of a page.
const WIDTH: usize = 100;

/// The whole page.
pub fn page(found: &Finding) -> String {
    let mut page = Page { text: String::new(), here: here() };
    page.put(&format!("{} {}", found.method, escape::error_log(found.url.as_bytes())));
    page.put(&format!("  => {}", ending(found)));
    if let Some(url) = &found.redirect {
        page.put(&format!("     the client is sent to {}", escape::error_log(url.as_bytes())));
    }
    page.addresses(found);
    page.title("What happens, in order");
    page.decisions(&found.decisions);
    page.end(found);
    page.files(found);
    page.settings("Limits", &found.limits);
    page.settings("Settings in force", &found.settings);
    page.text
}

/// One line for a file of expectations.
pub fn expectation(found: &Finding) -> String {
    let body = found.body.map_or(String::new(), |size| format!(" body={size}b"));
    let request = format!("{} {}{body}", found.method, found.url);
    match (&found.end, &found.redirect) {
        (End::Answer(status), Some(url)) => format!("{request} -> {status} location={url}\n"),
        (End::Answer(status), None) => format!("{request} -> {status}\n"),
        _ => format!("# {request}: {}\n", ending(found)),
    }
}

/// The end in a few words.
fn ending(found: &Finding) -> String {
    match &found.end {
        End::Answer(code) => {
            let words = status::reason(*code);
            let reason = found.reason.as_ref().map_or(String::new(), |reason| format!("  ({reason})"));
            format!("{code} {words}{reason}")
        }
        End::Close => "the connection is closed without an answer".into(),
        End::Act(Act::Run { .. }) => "a program is run; its answer decides the status".into(),
        End::Act(Act::Pass { by, to }) => {
            format!("passed on by {by} to {}; the answer from there decides the status", escape::error_log(to))
        }
        End::Act(Act::Change { what }) => format!("something is changed: {what}"),
        End::Wait => "it waits for something that only a running server has".into(),
    }
}

fn here() -> String {
    std::env::current_dir().map_or_else(|_| String::new(), |here| here.display().to_string())
}

struct Page {
    text: String,
    /// The current folder, which file names are shown without.
    here: String,
}

impl Page {
    fn put(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn title(&mut self, title: &str) {
        self.put("");
        self.put(title);
    }

    /// A line with its place at the right edge.
    fn put_with_place(&mut self, left: &str, line: Option<&Line>) {
        let Some(line) = line else { return self.put(left) };
        let file = Path::new(&line.file);
        let file = file.strip_prefix(&self.here).unwrap_or(file).display();
        let place = format!("{file}:{}", line.number);
        let (used, wanted) = (left.chars().count(), place.chars().count());
        match used + 2 + wanted <= WIDTH {
            true => self.put(&format!("{left}{}{place}", " ".repeat(WIDTH - used - wanted))),
            false => {
                self.wrap(left, "      ");
                self.put(&format!("{}{place}", " ".repeat(WIDTH.saturating_sub(wanted))));
            }
        }
    }

    /// A text in as many lines as it needs; those after the first begin with the indent.
    fn wrap(&mut self, text: &str, indent: &str) {
        let lead: String = text.chars().take_while(|c| *c == ' ').collect();
        let mut line = lead;
        let mut is_empty = true;
        for word in text.split_whitespace() {
            if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                let full = std::mem::replace(&mut line, indent.to_string());
                self.put(&full);
                is_empty = true;
            }
            if !is_empty {
                line.push(' ');
            }
            line.push_str(word);
            is_empty = false;
        }
        self.put(&line);
    }

    fn addresses(&mut self, found: &Finding) {
        self.title("Who is asked");
        let tls = if found.is_tls { ", with TLS" } else { "" };
        self.put_with_place(&format!("  the address {}{tls}", found.listener), found.listen_line.as_ref());
        // The one that takes the request comes first.
        let (chosen, others): (Vec<_>, Vec<_>) = found.servers.iter().partition(|server| server.is_chosen);
        for server in chosen.into_iter().chain(others) {
            let names = if server.names.is_empty() { "without a name".into() } else { server.names.join(" ") };
            let mark = if server.is_chosen { "takes it" } else { "does not" };
            self.put_with_place(&format!("  {mark}: server {names}"), server.line.as_ref());
            self.wrap(&format!("      {}", server.verdict), "      ");
        }
    }

    fn decisions(&mut self, decisions: &[Decision]) {
        let mut before: Option<(&str, Option<&Line>)> = None;
        for decision in decisions {
            let now = (decision.about, decision.line.as_ref());
            match &decision.line {
                Some(line) => {
                    if before != Some(now) {
                        self.put_with_place(&format!("  {}", line.text), Some(line));
                    }
                    self.wrap(&format!("      {}", decision.text), "      ");
                }
                None => self.wrap(&format!("  {}", decision.text), "      "),
            }
            before = Some(now);
        }
        if decisions.is_empty() {
            self.put("  nothing: the request is refused before a server looks at it");
        }
    }

    fn end(&mut self, found: &Finding) {
        match &found.end {
            End::Act(Act::Run { command, folder, variables }) => {
                self.title("The program that would be run");
                let words: Vec<String> = command.iter().map(|word| escape::error_log(word).to_string()).collect();
                self.put(&format!("  {}", words.join(" ")));
                self.put(&format!("  in {}", folder.display()));
                self.title("Its environment");
                for (name, value) in variables {
                    self.put(&format!("  {}={}", escape::error_log(name), escape::error_log(value)));
                }
            }
            End::Answer(_) => {
                let what = match found.step {
                    "file" => "a file",
                    "autoindex" => "a listing of the folder",
                    "status" => "the server's counters",
                    "empty_gif" => "an empty picture",
                    _ => return,
                };
                if found.reason.is_none() && found.redirect.is_none() {
                    self.put(&format!("  the answer is {what}"));
                }
            }
            _ => {}
        }
    }

    fn files(&mut self, found: &Finding) {
        if found.walk.is_empty() {
            return;
        }
        self.title(&format!("The way to {}, as user {}", escape::error_log(found.file.as_bytes()), found.user));
        let width = |texts: Vec<&str>| texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
        let owners = width(found.walk.iter().map(|stage| stage.owner.as_str()).collect());
        let groups = width(found.walk.iter().map(|stage| stage.group.as_str()).collect());
        for stage in &found.walk {
            let name = escape::error_log(std::os::unix::ffi::OsStrExt::as_bytes(stage.path.as_os_str())).to_string();
            let verdict = match (stage.is_open, stage.mode.is_empty(), stage.kind.as_str()) {
                (true, _, "folder") => "may be entered".to_string(),
                (true, _, "file") => "may be read".to_string(),
                (true, ..) => format!("{}, and open", stage.kind),
                (false, true, words) => words.to_lowercase(),
                (false, _, "folder") => "MAY NOT BE ENTERED".to_string(),
                (false, _, kind) => format!("MAY NOT BE READ ({kind})"),
            };
            let (mode, owner, group) = (&stage.mode, &stage.owner, &stage.group);
            self.put(&format!("  {mode:10} {owner:owners$} {group:groups$}  {name}  {verdict}"));
        }
    }

    fn settings(&mut self, title: &str, settings: &[Setting]) {
        if settings.is_empty() {
            return;
        }
        self.title(title);
        // Of a long list of one name the first lines are enough for people.
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for setting in settings {
            let count = seen.entry(setting.name).or_default();
            *count += 1;
            match (*count, &setting.line) {
                (MOST.., _) if *count > MOST => {}
                (MOST, _) => self.put(&format!("  ... and more lines of {}", setting.name)),
                (_, Some(line)) => self.put_with_place(&format!("  {}", setting.text), Some(line)),
                (_, None) => self.put(&format!("  {}  (nothing sets it: this is the default)", setting.text)),
            }
        }
    }
}

/// Lines of one directive that are shown.
const MOST: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stand_at_the_right_edge() {
        let mut page = Page { text: String::new(), here: "/srv".into() };
        let line = Line { file: "/srv/a.conf".into(), number: 7, text: String::new() };
        page.put_with_place("  root /x;", Some(&line));
        assert_eq!(page.text.len(), WIDTH + 1);
        assert!(page.text.ends_with(" a.conf:7\n"), "{}", page.text);
        page.text.clear();
        page.put_with_place(&"word ".repeat(30), Some(&line));
        assert!(page.text.lines().all(|line| line.len() <= WIDTH) && page.text.lines().count() == 3, "{}", page.text);
    }
}
