//! `sessiond bot eval`: reads menus and a corpus from files and writes predictions. The only place where the bot's
//! understanding meets files.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use serde::{Serialize, de::DeserializeOwned};

use crate::bot::{
    Parser,
    evaluation::{CorpusUtterance, Dialogue, predict_dialogue, predict_utterance},
    menu::Menu,
};

#[derive(Debug, Args)]
pub(super) struct BotEvalOptions {
    /// A folder with the menus that the corpus names, DIR/<menu>.json.
    #[arg(long, value_name = "DIR")]
    menu: PathBuf,
    /// Utterances, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    corpus: PathBuf,
    /// Dialogues, one JSON object a line.
    #[arg(long, value_name = "FILE", requires = "dialogues_out")]
    dialogues: Option<PathBuf>,
    /// Where predictions for utterances go.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Where predictions for dialogues go.
    #[arg(long, value_name = "FILE")]
    dialogues_out: Option<PathBuf>,
}

/// Parsers of the menus that were asked for so far.
struct Menus<'a> {
    folder: &'a Path,
    parsers: HashMap<String, Parser>,
}

impl Menus<'_> {
    fn parser(&mut self, menu: &str) -> anyhow::Result<&Parser> {
        if !self.parsers.contains_key(menu) {
            let is_name = menu.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)) && !menu.starts_with('.');
            anyhow::ensure!(is_name, "{menu:?} is no name of a menu");
            let path = self.folder.join(format!("{menu}.json"));
            let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let parsed: Menu = serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
            parsed.validate().with_context(|| format!("menu {menu:?}"))?;
            self.parsers.insert(menu.to_owned(), Parser::new(parsed));
        }
        self.parsers.get(menu).context("the menu was read just now")
    }
}

pub(super) fn run(options: &BotEvalOptions) -> anyhow::Result<()> {
    let mut menus = Menus { folder: &options.menu, parsers: HashMap::new() };
    convert(&options.corpus, &options.out, |utterance: CorpusUtterance| {
        Ok(predict_utterance(menus.parser(&utterance.menu)?, &utterance))
    })?;
    if let (Some(dialogues), Some(out)) = (&options.dialogues, &options.dialogues_out) {
        convert(dialogues, out, |dialogue: Dialogue| Ok(predict_dialogue(menus.parser(&dialogue.menu)?, &dialogue)))?;
    }
    Ok(())
}

/// Makes each line of a file into a line of another.
fn convert<In: DeserializeOwned, Out: Serialize>(
    from: &Path,
    to: &Path,
    mut predict: impl FnMut(In) -> anyhow::Result<Out>,
) -> anyhow::Result<()> {
    let input = File::open(from).with_context(|| format!("opening {}", from.display()))?;
    let output = File::create(to).with_context(|| format!("creating {}", to.display()))?;
    let mut output = BufWriter::new(output);
    for (number, line) in BufReader::new(input).lines().enumerate() {
        let at = || format!("{}, line {}", from.display(), number + 1);
        let line = line.with_context(at)?;
        if line.trim().is_empty() {
            continue;
        }
        let expected = serde_json::from_str(&line).with_context(at)?;
        let prediction = predict(expected).with_context(at)?;
        serde_json::to_writer(&mut output, &prediction)?;
        output.write_all(b"\n")?;
    }
    output.flush().with_context(|| format!("writing {}", to.display()))
}
