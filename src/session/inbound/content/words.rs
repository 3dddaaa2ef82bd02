//! What there is to read in messages that have no form of their own: a business's template, a list, an invitation. Pure.

use whatsapp_rust::waproto::whatsapp::{self as wa, message as kind};

/// The words of a message, a line each: title, text, footer. Empty when it has none.
pub(super) fn of(message: &wa::Message) -> String {
    let mut lines = Lines::default();
    lines.message(message, 0);
    lines.0.join("\n")
}

/// Notes and templates hold further messages; a deeper nest is an attack.
const MAX_DEPTH: usize = 4;

#[derive(Default)]
struct Lines<'a>(Vec<&'a str>);

impl<'a> Lines<'a> {
    fn add(&mut self, text: &'a Option<String>) {
        self.0.extend(text.as_deref().filter(|text| !text.is_empty()));
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
            answer.submessages.iter().for_each(|part| self.add(&part.message_text));
        }
        if let Some(pack) = message.sticker_pack_message.as_option() {
            self.first([&pack.caption, &pack.name]);
        }
        for result in [&message.poll_result_snapshot_message, &message.poll_result_snapshot_message_v3] {
            if let Some(poll) = result.as_option() {
                self.add(&poll.name);
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
            Some(Title::HydratedTitleText(title)) if !title.is_empty() => self.0.push(title),
            Some(Title::ImageMessage(image)) => self.add(&image.caption),
            Some(Title::VideoMessage(video)) => self.add(&video.caption),
            Some(Title::DocumentMessage(document)) => self.first([&document.caption, &document.file_name]),
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
            None => self.0.extend(structured.params.iter().map(String::as_str).filter(|word| !word.is_empty())),
        }
    }

    fn interactive(&mut self, message: &'a kind::InteractiveMessage, depth: usize) {
        use kind::interactive_message::InteractiveMessage as Part;
        if depth > MAX_DEPTH {
            return;
        }
        if let Some(header) = message.header.as_option() {
            self.add(&header.title);
            self.add(&header.subtitle);
        }
        if let Some(body) = message.body.as_option() {
            self.add(&body.text);
        }
        if let Some(footer) = message.footer.as_option() {
            self.add(&footer.text);
        }
        if let Some(Part::CarouselMessage(carousel)) = &message.interactive_message {
            carousel.cards.iter().for_each(|card| self.interactive(card, depth + 1));
        }
    }

    /// Buttons, lists and products.
    fn shop(&mut self, message: &'a wa::Message) {
        if let Some(buttons) = message.buttons_message.as_option() {
            if let Some(kind::buttons_message::Header::Text(title)) = &buttons.header {
                self.0.push(title);
            }
            self.add(&buttons.content_text);
            self.add(&buttons.footer_text);
        }
        if let Some(list) = message.list_message.as_option() {
            self.add(&list.title);
            self.add(&list.description);
            self.add(&list.footer_text);
        }
        if let Some(product) = message.product_message.as_option() {
            if let Some(shown) = product.product.as_option() {
                self.add(&shown.title);
                self.add(&shown.description);
            }
            self.add(&product.body);
            self.add(&product.footer);
        }
    }

    /// To groups, channels, events and calls.
    fn invitation(&mut self, message: &'a wa::Message) {
        if let Some(group) = message.group_invite_message.as_option() {
            self.first([&group.caption, &group.group_name]);
        }
        if let Some(event) = message.event_message.as_option() {
            self.add(&event.name);
            self.add(&event.description);
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

#[cfg(test)]
mod tests {
    use whatsapp_rust::buffa::MessageField as Field;

    use super::*;
    use crate::session::inbound::content::fields::WORDY;

    fn some(text: &str) -> Option<String> {
        Some(text.into())
    }

    /// A message of each kind that has words, all saying "hola".
    fn samples() -> Vec<wa::Message> {
        macro_rules! sample {
            ($field:ident: $kind:ident { $($inner:ident: $value:expr),+ }) => {
                wa::Message {
                    $field: Field::some(kind::$kind { $($inner: $value,)+ ..Default::default() }),
                    ..Default::default()
                }
            };
        }
        let hydrated = || kind::template_message::HydratedFourRowTemplate {
            hydrated_content_text: some("hola"),
            ..Default::default()
        };
        let body = kind::interactive_message::Body { text: some("hola") };
        let interactive = || kind::InteractiveMessage { body: Field::some(body.clone()), ..Default::default() };
        let note = || Field::some(wa::Message { conversation: some("hola"), ..Default::default() });
        let template = || kind::TemplateMessage { hydrated_template: Field::some(hydrated()), ..Default::default() };
        let part = wa::AIRichResponseSubMessage { message_text: some("hola"), ..Default::default() };
        let rich = wa::AIRichResponseMessage { submessages: vec![part], ..Default::default() };
        let carousel = kind::interactive_message::CarouselMessage { cards: vec![interactive()], ..Default::default() };
        use kind::interactive_message::InteractiveMessage as Part;
        use kind::template_message::Format;
        vec![
            wa::Message { template_message: Field::some(template()), ..Default::default() },
            sample!(template_message: TemplateMessage { format: Some(Format::HydratedFourRowTemplate(hydrated().into())) }),
            sample!(template_message: TemplateMessage { format: Some(Format::InteractiveMessageTemplate(interactive().into())) }),
            sample!(highly_structured_message: HighlyStructuredMessage { hydrated_hsm: Field::some(template()) }),
            sample!(buttons_message: ButtonsMessage { content_text: some("hola") }),
            sample!(list_message: ListMessage { description: some("hola") }),
            wa::Message { interactive_message: Field::some(interactive()), ..Default::default() },
            sample!(interactive_message: InteractiveMessage { interactive_message: Some(Part::CarouselMessage(carousel.into())) }),
            sample!(product_message: ProductMessage { body: some("hola") }),
            sample!(group_invite_message: GroupInviteMessage { caption: some("hola") }),
            sample!(event_message: EventMessage { name: some("hola") }),
            sample!(event_invite_message: EventInviteMessage { event_title: some("hola") }),
            sample!(sticker_pack_message: StickerPackMessage { name: some("hola") }),
            wa::Message { rich_response_message: Field::some(rich), ..Default::default() },
            sample!(newsletter_admin_invite_message: NewsletterAdminInviteMessage { caption: some("hola") }),
            sample!(newsletter_follower_invite_message_v2: NewsletterFollowerInviteMessage { caption: some("hola") }),
            sample!(poll_result_snapshot_message: PollResultSnapshotMessage { name: some("hola") }),
            sample!(poll_result_snapshot_message_v3: PollResultSnapshotMessage { name: some("hola") }),
            sample!(send_payment_message: SendPaymentMessage { note_message: note() }),
            sample!(request_payment_message: RequestPaymentMessage { note_message: note() }),
            sample!(payment_reminder_message: PaymentReminderMessage { description: some("hola") }),
            sample!(split_payment_message: SplitPaymentMessage { description: some("hola") }),
            sample!(invoice_message: InvoiceMessage { note: some("hola") }),
            sample!(scheduled_call_creation_message: ScheduledCallCreationMessage { title: some("hola") }),
            sample!(bcall_message: BCallMessage { caption: some("hola") }),
        ]
    }

    /// Kinds that have a name and nothing to read.
    const WORDLESS: &[&str] = &[
        // Sealed, and not for this device to open.
        "conditional_reveal_message",
    ];

    #[test]
    fn whatever_has_words_shows_them() {
        let mut shown: Vec<&str> = WORDLESS.to_vec();
        for sample in samples() {
            let name =
                crate::session::inbound::content::fields::wordy(&sample).expect("a sample is of a kind with words");
            assert_eq!(of(&sample), "hola", "{name}");
            shown.push(name);
        }
        for name in WORDY {
            assert!(shown.contains(name), "nobody looks for the words of {name}");
        }
    }

    #[test]
    fn a_template_is_read_from_top_to_bottom() {
        use kind::template_message::hydrated_four_row_template::Title;
        let template = kind::template_message::HydratedFourRowTemplate {
            title: Some(Title::HydratedTitleText("Su pedido".into())),
            hydrated_content_text: some("va en camino"),
            hydrated_footer_text: some("Trattoria"),
            ..Default::default()
        };
        let template = kind::TemplateMessage { hydrated_template: Field::some(template), ..Default::default() };
        let message = wa::Message { template_message: Field::some(template), ..Default::default() };
        assert_eq!(of(&message), "Su pedido\nva en camino\nTrattoria");
    }

    #[test]
    fn a_nest_of_notes_ends() {
        let mut nest = wa::Message { conversation: some("deep"), ..Default::default() };
        for _ in 0..500 {
            let payment = kind::SendPaymentMessage { note_message: Field::some(nest), ..Default::default() };
            nest = wa::Message { send_payment_message: Field::some(payment), ..Default::default() };
        }
        assert_eq!(of(&nest), "");
    }
}
