//! A problem: what is wrong with a rule file, where, and what to do about it.
//!
//! Every later station of the rules only ever adds to [`Found`]; nobody stops at the first problem.
//! [`Problems`] is what becomes of a set with at least one.

use std::{collections::HashSet, fmt};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{
    model::Place,
    shipped::Names,
    source::{Source, Sources, Span, printable},
};

/// Problems that are shown in full. The others are counted.
const SHOWN: usize = 100;
/// Problems that are kept. What a machine wrote may have a million, and nobody reads them.
const KEPT: usize = 10_000;
/// Characters of a text that are repeated in a message.
const QUOTED: usize = 80;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What is said beside the place.
    pub label: String,
    /// Another place that has to do with it.
    pub also: Option<Box<(Span, String)>>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    /// A problem without advice.
    pub(super) fn new(span: Span, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { message: message.into(), span, label: label.into(), also: None, help: None }
    }

    /// With advice.
    #[must_use]
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// With the word that may have been meant, or else with advice.
    #[must_use]
    pub(super) fn meant(self, word: Option<impl fmt::Display>, otherwise: Option<String>) -> Self {
        let help = word.map(|word| format!("did you mean `{word}`?")).or(otherwise);
        Self { help, ..self }
    }

    /// With another place.
    #[must_use]
    pub(super) fn also(self, span: Span, label: impl Into<String>) -> Self {
        Self { also: Some(Box::new((span, label.into()))), ..self }
    }
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    problems: Vec<Problem>,
    seen: HashSet<(Span, String)>,
    /// Problems that were counted and not kept.
    more: usize,
    /// A file could not be read as a whole: names that seem unknown may be in it.
    pub(super) torn: bool,
    /// Names that may be meant besides those in the files.
    pub(super) shipped: Names,
}

impl Found {
    /// Takes a problem in, unless it is known: a list may be used by several rules.
    pub(super) fn add(&mut self, problem: Problem) {
        if self.problems.len() == KEPT {
            self.more += 1;
        } else if self.seen.insert((problem.span, problem.message.clone())) {
            self.problems.push(problem);
        }
    }

    /// Takes in that a name is unknown, unless it may be in a file that could not be read.
    pub(super) fn add_unknown(&mut self, problem: Problem) {
        if !self.torn {
            self.add(problem);
        }
    }

    /// Whether there are so many that looking for words that were meant is no longer worth it.
    pub(super) fn is_flood(&self) -> bool {
        self.problems.len() > SHOWN
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.problems.len() + self.more
    }

    /// All of them, or `good` if there are none. `files` is how many there are of those who are to hear of it.
    pub(super) fn or<T>(self, good: T, sources: Sources, files: usize) -> Result<T, Problems> {
        let mut problems = self.problems;
        problems.sort_by_key(|problem| problem.span);
        if problems.is_empty() {
            Ok(good)
        } else {
            Err(Problems { sources, files, problems, more: self.more })
        }
    }
}

/// Everything that is wrong with a set of rule files. Nothing of the set was loaded.
#[derive(Clone, Debug)]
pub struct Problems {
    sources: Sources,
    files: usize,
    problems: Vec<Problem>,
    more: usize,
}

impl Problems {
    /// How many there are, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always at least one")]
    pub fn len(&self) -> usize {
        self.problems.len() + self.more
    }

    /// Each of them with its place, by file and line; of a flood the first ten thousand that were found.
    pub fn iter(&self) -> impl Iterator<Item = (Place, &Problem)> {
        self.problems.iter().map(|problem| (self.sources.place(problem.span), problem))
    }

    /// All of them as text for a terminal.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        self.render_with(colour, "Nothing was loaded.")
    }

    /// All of them as text for a terminal; `outcome` says what came of it.
    #[must_use]
    pub fn render_with(&self, colour: bool, outcome: &str) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for problem in self.problems.iter().take(SHOWN) {
            text += &self.block(problem, &renderer);
            text += "\n\n";
        }
        let hidden = self.len().saturating_sub(SHOWN);
        if hidden > 0 {
            text += &format!("{hidden} more are not shown.\n\n");
        }
        text + &self.footer(outcome)
    }

    fn footer(&self, outcome: &str) -> String {
        let (files, problems) = (self.files, self.len());
        let (file_s, problem_s) = (plural(files), plural(problems));
        format!("{files} file{file_s}, {problems} problem{problem_s}. {outcome}")
    }

    fn block(&self, problem: &Problem, renderer: &Renderer) -> String {
        let title = Level::ERROR.primary_title(printable(&problem.message));
        let source = self.sources.of(problem.span);
        let mut group = if source.text.is_empty() {
            title.element(Origin::path(&*source.name))
        } else {
            title.element(self.snippet(problem))
        };
        if let Some((span, label)) = problem.also.as_deref()
            && span.file != problem.span.file
        {
            let other = Window::of(self.sources.of(*span), &[*span]);
            let mark = AnnotationKind::Context.span(other.range(*span)).label(label);
            group = group.element(other.snippet().annotation(mark));
        }
        let help = problem.help.as_deref().map(printable);
        let help = help.map(|help| Group::with_title(Level::HELP.secondary_title(help)));
        let report: Vec<Group<'_>> = std::iter::once(group).chain(help).collect();
        renderer.render(&report)
    }

    /// The lines of the problem, and of the other place if it is in the same file.
    fn snippet<'a>(
        &'a self,
        problem: &'a Problem,
    ) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let also = problem.also.as_deref().filter(|(span, _)| span.file == problem.span.file);
        let spans: Vec<Span> =
            std::iter::once(problem.span).chain(also.map(|(span, _)| *span)).collect();
        let window = Window::of(self.sources.of(problem.span), &spans);
        let mark = AnnotationKind::Primary
            .span(window.range(problem.span))
            .label(printable(&problem.label));
        let snippet = window.snippet().annotation(mark);
        match also {
            Some((span, label)) => {
                snippet.annotation(AnnotationKind::Context.span(window.range(*span)).label(label))
            }
            None => snippet,
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}

/// The lines that are shown: the renderer is not given the whole file for each problem.
struct Window<'a> {
    source: &'a Source,
    first_line: usize,
    start: usize,
    end: usize,
}

impl<'a> Window<'a> {
    fn of(source: &'a Source, spans: &[Span]) -> Self {
        let lines = spans.iter().map(|span| source.line(span.start));
        let first_line = lines.clone().min().unwrap_or(0);
        let last_line = lines.max().unwrap_or(0);
        let start = source.line_range(first_line).start;
        Self { source, first_line, start, end: source.line_range(last_line).end }
    }

    fn snippet(&self) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        // The renderer leaves these control characters as they are. Two bytes each, as is the dot.
        let text = self.source.text[self.start..self.end]
            .replace(|c| ('\u{80}'..='\u{9f}').contains(&c), "·");
        Snippet::source(text).line_start(self.first_line + 1).path(&*self.source.name)
    }

    /// A span within the window: on its first line only, on whole characters, one at least.
    fn range(&self, span: Span) -> std::ops::Range<usize> {
        let line = self.source.line_range(self.source.line(span.start));
        let text = &self.source.text;
        let start = text.floor_char_boundary((span.start as usize).min(line.end));
        let one = text[start..line.end].chars().next().map_or(0, char::len_utf8);
        let end = text.ceil_char_boundary((span.end as usize).min(line.end)).max(start + one);
        start - self.start..end - self.start
    }
}

/// `text` in backquotes, fit for a terminal: shortened, and without control characters.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = printable(&text.chars().take(QUOTED).collect::<String>());
    if text.chars().nth(QUOTED).is_some() {
        quoted.push('…');
    }
    format!("`{quoted}`")
}

/// `words` in backquotes, as a sentence has them.
pub(super) fn enumerate(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// The ending of a plural.
pub(super) const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
