//! Markdown to HTML: pure. The text of a page is trusted no further than that of a stranger: HTML in it is shown as it is written, and
//! a link leads to another page, to a heading, or to the web.

use std::collections::HashMap;

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use super::{PAGES, SETTINGS};

/// A page's text.
pub struct Rendered {
    /// The first heading.
    pub title: String,
    pub html: String,
    pub headings: Vec<PageHeading>,
}

/// A heading, and the anchor that leads to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageHeading {
    pub level: u8,
    pub id: String,
    pub text: String,
}

pub fn render(markdown: &str) -> Rendered {
    let mut events: Vec<Event<'_>> = Parser::new_ext(markdown, Options::ENABLE_TABLES).map(as_text).collect();
    let headings = name_headings(&mut events);
    // Links do not nest, so that one flag tells to which of them an end belongs.
    let mut is_unlinked = false;
    events.retain_mut(|event| match event {
        Event::Start(Tag::Link { dest_url, .. }) => {
            let route = route(dest_url);
            is_unlinked = route.is_none();
            *dest_url = route.unwrap_or_default().into();
            !is_unlinked
        }
        Event::End(TagEnd::Link) => !std::mem::take(&mut is_unlinked),
        // Of a picture the words remain: no file goes with the pages.
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => false,
        _ => true,
    });
    let mut page = String::with_capacity(markdown.len() * 2);
    html::push_html(&mut page, events.into_iter());
    let title = headings.first().map(|heading| heading.text.clone()).unwrap_or_default();
    Rendered { title, html: page, headings }
}

/// The first heading of a page.
pub fn title(markdown: &str) -> String {
    markdown.lines().next().unwrap_or_default().trim_start_matches('#').trim().to_owned()
}

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// HTML is text here.
fn as_text(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        event => event,
    }
}

/// Gives each heading the anchor that the repository's web page gives it.
fn name_headings(events: &mut [Event<'_>]) -> Vec<PageHeading> {
    let mut seen: HashMap<String, u32> = HashMap::new();
    let mut headings = Vec::new();
    for start in 0..events.len() {
        let Event::Start(Tag::Heading { level, .. }) = events[start] else { continue };
        let inside = events[start + 1..].iter().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
        let text: String = inside.filter_map(words).collect();
        let slug = slug(&text);
        let repeats = seen.entry(slug.clone()).and_modify(|count| *count += 1).or_default();
        let id = if *repeats == 0 { slug } else { format!("{slug}-{repeats}") };
        if let Event::Start(Tag::Heading { id: place, .. }) = &mut events[start] {
            *place = Some(CowStr::from(id.clone()));
        }
        headings.push(PageHeading { level: number(level), id, text });
    }
    headings
}

fn words<'a>(event: &'a Event<'_>) -> Option<&'a str> {
    match event {
        Event::Text(text) | Event::Code(text) => Some(text),
        Event::SoftBreak => Some(" "),
        _ => None,
    }
}

fn number(level: HeadingLevel) -> u8 {
    level as u8
}

/// GitHub's rule: letters, digits, `_` and `-` stay, a blank becomes `-`, everything else goes.
fn slug(text: &str) -> String {
    let lower = text.trim().to_lowercase();
    lower
        .chars()
        .filter(|c| c.is_alphanumeric() || "_- ".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// Where a link of the repository leads here; `None`: nowhere, like a source file.
fn route(link: &str) -> Option<String> {
    if ["https://", "http://", "#"].iter().any(|start| link.starts_with(start)) {
        return Some(link.to_owned());
    }
    let (file, anchor) = link.split_once('#').map_or((link, String::new()), |(file, name)| (file, format!("#{name}")));
    let page = match file {
        "README.md" => "./",
        "../../config/default.toml" => SETTINGS,
        _ => {
            let name = file.strip_suffix(".md")?;
            PAGES.iter().find(|(page, _)| *page == name)?.0
        }
    };
    Some(format!("{page}{anchor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_in_a_page_is_text() {
        let page = "# A <b>title</b>\n\n<script>alert(1)</script>\n\nText <img src=x onerror=alert(1)> and `<i>`.\n\n\
                    [a](javascript:alert(1)) [b](data:text/html,x) ![c](http://evil/x.png \"\\\" onload=1\")\n\n```html\n</code><script>\n```\n\n\
                    <div style=\"x\">\n\n| a |\n|---|\n| <svg onload=alert(1)> |\n";
        let Rendered { html, headings, title } = render(page);
        for forbidden in ["<script", "<img", "<b>", "<i>", "<div style", "<svg", "javascript:", "data:", "evil"] {
            assert!(!html.contains(forbidden), "{forbidden} in {html}");
        }
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{html}");
        assert_eq!((title.as_str(), headings[0].id.as_str()), ("A <b>title</b>", "a-btitleb"));
        assert_eq!(escape("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }

    #[test]
    fn headings_have_the_repositorys_anchors() {
        let ids: Vec<_> =
            render("# What becomes of a send\n## `vault_down`\n## From WAHA's API, v2\n## Notes\n## Notes\n")
                .headings
                .into_iter()
                .map(|heading| heading.id)
                .collect();
        assert_eq!(ids, ["what-becomes-of-a-send", "vault_down", "from-wahas-api-v2", "notes", "notes-1"]);
    }

    #[test]
    fn links_lead_to_pages() {
        assert_eq!(route("media.md#out").as_deref(), Some("media#out"));
        assert_eq!(route("README.md").as_deref(), Some("./"));
        assert_eq!(route("../../config/default.toml").as_deref(), Some("settings"));
        assert_eq!(route("https://example.com").as_deref(), Some("https://example.com"));
        for nowhere in
            ["../ARCHITECTURE.md", "../../railway.toml", "nothing.md", "//evil.example", "javascript:alert(1)"]
        {
            assert_eq!(route(nowhere), None, "{nowhere}");
        }
    }
}
