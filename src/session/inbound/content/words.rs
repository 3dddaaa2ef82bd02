//! What there is to read in messages that have no form of their own: a business's template, a list, an invitation, a bot's answer that
//! somebody forwards. Pure.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use whatsapp_rust::waproto::whatsapp::{self as wa, message as kind};

/// The words of a message, a line each: title, text, footer. Empty when it has none.
pub(super) fn of(message: &wa::Message) -> String {
    let mut lines = TextLines::default();
    lines.message(message, 0);
    lines.0.join("\n")
}

/// Notes and templates hold further messages; a deeper nest is an attack.
const MAX_DEPTH: usize = 4;

#[derive(Default)]
struct TextLines<'a>(Vec<Cow<'a, str>>);

impl<'a> TextLines<'a> {
    fn add(&mut self, text: &'a Option<String>) {
        self.0.extend(text.as_deref().filter(|text| !text.is_empty()).map(Cow::Borrowed));
    }

    /// Made of several.
    fn put(&mut self, line: String) {
        self.0.extend(Some(line).filter(|line| !line.is_empty()).map(Cow::Owned));
    }

    /// The first of them that says something.
    fn first(&mut self, texts: [&'a Option<String>; 2]) {
        let before = self.0.len();
        for text in texts {
            if self.0.len() == before {
                self.add(text);
            }
        }
    }

    fn message(&mut self, message: &'a wa::Message, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        if let Some(template) = message.template_message.as_option() {
            self.template(template, depth);
        }
        if let Some(structured) = message.highly_structured_message.as_option() {
            self.structured(structured, depth);
        }
        if let Some(interactive) = message.interactive_message.as_option() {
            self.interactive(interactive, depth);
        }
        self.shop(message);
        self.invitation(message);
        self.payment(message, depth);
        if let Some(answer) = message.rich_response_message.as_option() {
            answer.submessages.iter().for_each(|part| self.answer(part));
        }
        if let Some(pack) = message.sticker_pack_message.as_option() {
            self.first([&pack.caption, &pack.name]);
            self.add(&pack.pack_description);
        }
        for result in [&message.poll_result_snapshot_message, &message.poll_result_snapshot_message_v3] {
            if let Some(poll) = result.as_option() {
                self.add(&poll.name);
                for vote in &poll.poll_votes {
                    let count = vote.option_vote_count.map(|count| format!(": {count}")).unwrap_or_default();
                    self.put(vote.option_name.as_ref().map(|name| format!("{name}{count}")).unwrap_or_default());
                }
            }
        }
        if let Some(option) = message.poll_add_option_message.as_option().and_then(|poll| poll.add_option.as_option()) {
            self.add(&option.option_name);
        }
    }

    fn template(&mut self, template: &'a kind::TemplateMessage, depth: usize) {
        use kind::template_message::Format;
        // Older clients read the one, newer ones the other; they say the same.
        if let Some(hydrated) = template.hydrated_template.as_option() {
            return self.hydrated(hydrated);
        }
        match &template.format {
            Some(Format::HydratedFourRowTemplate(hydrated)) => self.hydrated(hydrated),
            Some(Format::InteractiveMessageTemplate(interactive)) => self.interactive(interactive, depth),
            Some(Format::FourRowTemplate(rows)) => {
                use kind::template_message::four_row_template::Title;
                match &rows.title {
                    Some(Title::HighlyStructuredMessage(title)) => self.structured(title, depth + 1),
                    Some(Title::ImageMessage(image)) => self.add(&image.caption),
                    Some(Title::VideoMessage(video)) => self.add(&video.caption),
                    Some(Title::DocumentMessage(document)) => self.document(document),
                    Some(Title::LocationMessage(place)) => self.place(place),
                    None => {}
                }
                for row in [&rows.content, &rows.footer] {
                    if let Some(row) = row.as_option() {
                        self.structured(row, depth + 1);
                    }
                }
            }
            None => {}
        }
    }

    fn hydrated(&mut self, template: &'a kind::template_message::HydratedFourRowTemplate) {
        use kind::template_message::hydrated_four_row_template::Title;
        match &template.title {
            Some(Title::HydratedTitleText(title)) if !title.is_empty() => self.0.push(title.into()),
            Some(Title::ImageMessage(image)) => self.add(&image.caption),
            Some(Title::VideoMessage(video)) => self.add(&video.caption),
            Some(Title::DocumentMessage(document)) => self.document(document),
            Some(Title::LocationMessage(place)) => self.place(place),
            _ => {}
        }
        self.add(&template.hydrated_content_text);
        self.add(&template.hydrated_footer_text);
    }

    fn structured(&mut self, structured: &'a kind::HighlyStructuredMessage, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match structured.hydrated_hsm.as_option() {
            Some(template) => self.template(template, depth + 1),
            // The text itself lies with WhatsApp; these are the words that are put into it.
            None => {
                self.0.extend(structured.params.iter().filter(|word| !word.is_empty()).map(Cow::from));
            }
        }
    }

    fn interactive(&mut self, message: &'a kind::InteractiveMessage, depth: usize) {
        use kind::interactive_message::InteractiveMessage as Part;
        if depth > MAX_DEPTH {
            return;
        }
        if let Some(header) = message.header.as_option() {
            use kind::interactive_message::header::Media;
            match &header.media {
                Some(Media::ImageMessage(image)) => self.add(&image.caption),
                Some(Media::VideoMessage(video)) => self.add(&video.caption),
                Some(Media::DocumentMessage(document)) => self.document(document),
                Some(Media::LocationMessage(place)) => self.place(place),
                Some(Media::ProductMessage(product)) => self.product(product),
                _ => {}
            }
            self.add(&header.title);
            self.add(&header.subtitle);
        }
        if let Some(body) = message.body.as_option() {
            self.add(&body.text);
        }
        if let Some(footer) = message.footer.as_option() {
            self.add(&footer.text);
        }
        match &message.interactive_message {
            Some(Part::CarouselMessage(carousel)) => {
                carousel.cards.iter().for_each(|card| self.interactive(card, depth + 1));
            }
            Some(Part::NativeFlowMessage(flow)) => {
                for button in flow.buttons.iter().filter(|button| button.name.as_deref() == Some("cta_copy")) {
                    self.code(button.button_params_json.as_deref().unwrap_or_default());
                }
            }
            _ => {}
        }
    }

    /// A code that a button copies: the phone shows it nowhere else.
    fn code(&mut self, parameters: &str) {
        let parameters = serde_json::from_str::<serde_json::Value>(parameters).unwrap_or_default();
        self.put(parameters["copy_code"].as_str().unwrap_or_default().to_owned());
    }

    /// A file above a text: its own words, else what it is called.
    fn document(&mut self, document: &'a kind::DocumentMessage) {
        self.first([&document.caption, &document.file_name]);
    }

    fn place(&mut self, place: &'a kind::LocationMessage) {
        self.add(&place.name);
        self.add(&place.address);
        self.add(&place.comment);
    }

    /// Buttons, lists and products.
    fn shop(&mut self, message: &'a wa::Message) {
        if let Some(buttons) = message.buttons_message.as_option() {
            use kind::buttons_message::Header;
            match &buttons.header {
                Some(Header::Text(title)) => self.0.extend(Some(title).filter(|it| !it.is_empty()).map(Cow::from)),
                Some(Header::ImageMessage(image)) => self.add(&image.caption),
                Some(Header::VideoMessage(video)) => self.add(&video.caption),
                Some(Header::DocumentMessage(document)) => self.document(document),
                Some(Header::LocationMessage(place)) => self.place(place),
                None => {}
            }
            self.add(&buttons.content_text);
            self.add(&buttons.footer_text);
        }
        if let Some(list) = message.list_message.as_option() {
            self.add(&list.title);
            self.add(&list.description);
            for section in &list.sections {
                self.add(&section.title);
                for row in &section.rows {
                    self.add(&row.title);
                    self.add(&row.description);
                }
            }
            self.add(&list.footer_text);
        }
        if let Some(product) = message.product_message.as_option() {
            self.product(product);
        }
    }

    fn product(&mut self, product: &'a kind::ProductMessage) {
        if let Some(shown) = product.product.as_option() {
            self.add(&shown.title);
            self.add(&shown.description);
        }
        if let Some(catalog) = product.catalog.as_option() {
            self.add(&catalog.title);
            self.add(&catalog.description);
        }
        self.add(&product.body);
        self.add(&product.footer);
    }

    /// A part of a bot's answer. What is in its `unifiedResponse` too has no public form.
    fn answer(&mut self, part: &'a wa::AIRichResponseSubMessage) {
        use wa::ai_rich_response_content_items_metadata::ai_rich_response_content_item_metadata::AIRichResponseContentItem;
        self.add(&part.message_text);
        if let Some(image) = part.image_metadata.as_option() {
            self.add(&image.image_text);
        }
        if let Some(code) = part.code_metadata.as_option() {
            // A piece for each colour.
            self.put(code.code_blocks.iter().filter_map(|piece| piece.code_content.as_deref()).collect());
        }
        if let Some(table) = part.table_metadata.as_option() {
            self.add(&table.title);
            table.rows.iter().for_each(|row| self.put(row.items.join(" | ")));
        }
        if let Some(formula) = part.latex_metadata.as_option() {
            self.add(&formula.text);
            formula.expressions.iter().for_each(|expression| self.add(&expression.latex_expression));
        }
        if let Some(map) = part.map_metadata.as_option() {
            for place in &map.annotations {
                self.add(&place.title);
                self.add(&place.body);
            }
        }
        let items = part.content_items_metadata.as_option().map(|items| &items.items_metadata);
        for item in items.into_iter().flatten() {
            if let Some(AIRichResponseContentItem::ReelItem(reel)) = &item.a_i_rich_response_content_item {
                self.add(&reel.title);
            }
        }
    }

    /// To groups, channels, events and calls.
    fn invitation(&mut self, message: &'a wa::Message) {
        if let Some(group) = message.group_invite_message.as_option() {
            self.add(&group.caption);
            self.add(&group.group_name);
        }
        if let Some(event) = message.event_message.as_option() {
            self.add(&event.name);
            self.add(&event.description);
            if let Some(place) = event.location.as_option() {
                self.place(place);
            }
            self.add(&event.join_link);
        }
        if let Some(event) = message.event_invite_message.as_option() {
            self.first([&event.caption, &event.event_title]);
        }
        if let Some(channel) = message.newsletter_admin_invite_message.as_option() {
            self.first([&channel.caption, &channel.newsletter_name]);
        }
        if let Some(channel) = message.newsletter_follower_invite_message_v2.as_option() {
            self.first([&channel.caption, &channel.newsletter_name]);
        }
        if let Some(call) = message.scheduled_call_creation_message.as_option() {
            self.add(&call.title);
        }
        if let Some(call) = message.bcall_message.as_option() {
            self.add(&call.caption);
        }
    }

    fn payment(&mut self, message: &'a wa::Message, depth: usize) {
        let sent = message.send_payment_message.as_option().and_then(|payment| payment.note_message.as_option());
        let asked = message.request_payment_message.as_option().and_then(|payment| payment.note_message.as_option());
        if let Some(payment) = message.request_payment_message.as_option() {
            let amount = payment.amount.as_option();
            let exact = amount.and_then(|money| Some((money.value?, money.offset.unwrap_or(0), &money.currency_code)));
            let thousandths = payment.amount1000.and_then(|amount| i64::try_from(amount).ok());
            let thousandths = thousandths.map(|amount| (amount, 3, &payment.currency_code_iso4217));
            if let Some((value, places, currency)) = exact.or(thousandths) {
                self.put(amount_of(value, places, currency.as_deref().unwrap_or_default()));
            }
        }
        for note in [sent, asked].into_iter().flatten() {
            self.add(&note.conversation);
            if let Some(extended) = note.extended_text_message.as_option() {
                self.add(&extended.text);
            }
            self.message(note, depth + 1);
        }
        if let Some(reminder) = message.payment_reminder_message.as_option() {
            self.add(&reminder.description);
        }
        if let Some(split) = message.split_payment_message.as_option() {
            self.add(&split.description);
        }
        if let Some(invoice) = message.invoice_message.as_option() {
            self.add(&invoice.note);
        }
    }
}

/// An amount in a currency's units, with two places at least where it has any.
fn amount_of(value: i64, places: u32, currency: &str) -> String {
    let places = places.min(18) as usize;
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = places + 1);
    let (units, rest) = digits.split_at(digits.len() - places);
    let kept = rest.trim_end_matches('0').len().max(2).min(rest.len());
    let (sign, point) = (if value < 0 { "-" } else { "" }, if kept > 0 { "." } else { "" });
    format!("{sign}{units}{point}{} {currency}", &rest[..kept]).trim_end().to_owned()
}
