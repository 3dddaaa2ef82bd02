//! What there is to read in messages that have no form of their own: a business's template, a list, an invitation, a bot's answer that
//! somebody forwards. Pure.

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
            answer(wa::AIRichResponseSubMessage { message_text: some("hola"), ..Default::default() }),
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

    /// Somebody forwards a part of a bot's answer.
    fn answer(part: wa::AIRichResponseSubMessage) -> wa::Message {
        let rich = wa::AIRichResponseMessage { submessages: vec![part], ..Default::default() };
        wa::Message { rich_response_message: Field::some(rich), ..Default::default() }
    }

    /// Each text of a kind that has several, or has it deep within.
    #[test]
    fn no_text_of_a_kind_is_left_out() {
        use kind::{
            buttons_message::Header,
            interactive_message::header::Media,
            template_message::{Format, four_row_template, hydrated_four_row_template},
        };
        macro_rules! with {
            ($type:ty { $($field:ident: $value:expr),+ }) => {{
                let mut it = <$type>::default();
                $(it.$field = $value;)+
                it
            }};
        }
        let image = || with!(kind::ImageMessage { caption: some("hola") });
        let video = || with!(kind::VideoMessage { caption: some("hola") });
        let document = || with!(kind::DocumentMessage { file_name: some("hola") });
        let place = || with!(kind::LocationMessage { comment: some("hola") });
        let catalog = with!(kind::product_message::CatalogSnapshot { title: some("hola") });
        let product = || with!(kind::ProductMessage { catalog: Field::some(catalog.clone()) });
        let words = || with!(kind::HighlyStructuredMessage { params: vec!["hola".into()] });
        let four = |title: four_row_template::Title| {
            let rows = with!(kind::template_message::FourRowTemplate { title: Some(title) });
            with!(kind::TemplateMessage { format: Some(Format::FourRowTemplate(Box::new(rows))) })
        };
        let hydrated = |title: hydrated_four_row_template::Title| {
            let rows = with!(kind::template_message::HydratedFourRowTemplate { title: Some(title) });
            with!(kind::TemplateMessage { hydrated_template: Field::some(rows) })
        };
        let headed = |media: Media| {
            let header = with!(kind::interactive_message::Header { media: Some(media) });
            with!(kind::InteractiveMessage { header: Field::some(header) })
        };
        let buttons = |header: Header| with!(kind::ButtonsMessage { header: Some(header) });
        let section = |section: kind::list_message::Section| with!(kind::ListMessage { sections: vec![section] });
        let row = |row: kind::list_message::Row| section(with!(kind::list_message::Section { rows: vec![row] }));
        let vote = with!(kind::poll_result_snapshot_message::PollVote { option_name: some("hola") });
        let result = || with!(kind::PollResultSnapshotMessage { poll_votes: vec![vote.clone()] });
        macro_rules! messages {
            ($($field:ident: $value:expr,)+) => { vec![$(with!(wa::Message { $field: Field::some($value) })),+] };
        }
        let mut messages = messages! {
            interactive_message: headed(Media::ImageMessage(Box::new(image()))),
            interactive_message: headed(Media::VideoMessage(Box::new(video()))),
            interactive_message: headed(Media::DocumentMessage(Box::new(document()))),
            interactive_message: headed(Media::LocationMessage(Box::new(place()))),
            interactive_message: headed(Media::ProductMessage(Box::new(product()))),
            buttons_message: buttons(Header::Text("hola".into())),
            buttons_message: buttons(Header::ImageMessage(Box::new(image()))),
            buttons_message: buttons(Header::VideoMessage(Box::new(video()))),
            buttons_message: buttons(Header::DocumentMessage(Box::new(document()))),
            buttons_message: buttons(Header::LocationMessage(Box::new(place()))),
            template_message: four(four_row_template::Title::HighlyStructuredMessage(Box::new(words()))),
            template_message: four(four_row_template::Title::ImageMessage(Box::new(image()))),
            template_message: four(four_row_template::Title::VideoMessage(Box::new(video()))),
            template_message: four(four_row_template::Title::DocumentMessage(Box::new(document()))),
            template_message: four(four_row_template::Title::LocationMessage(Box::new(place()))),
            template_message: hydrated(hydrated_four_row_template::Title::HydratedTitleText("hola".into())),
            template_message: hydrated(hydrated_four_row_template::Title::ImageMessage(Box::new(image()))),
            template_message: hydrated(hydrated_four_row_template::Title::LocationMessage(Box::new(place()))),
            highly_structured_message: words(),
            list_message: with!(kind::ListMessage { title: some("hola") }),
            list_message: section(with!(kind::list_message::Section { title: some("hola") })),
            list_message: row(with!(kind::list_message::Row { title: some("hola") })),
            list_message: row(with!(kind::list_message::Row { description: some("hola") })),
            product_message: product(),
            event_message: with!(kind::EventMessage { location: Field::some(place()) }),
            event_message: with!(kind::EventMessage { join_link: some("hola") }),
            sticker_pack_message: with!(kind::StickerPackMessage { pack_description: some("hola") }),
            poll_result_snapshot_message: result(),
            poll_result_snapshot_message_v3: result(),
        };
        use wa::{
            ai_rich_response_code_metadata::AIRichResponseCodeBlock as Code,
            ai_rich_response_content_items_metadata::{
                AIRichResponseContentItemMetadata as Item, AIRichResponseReelItem as Reel,
            },
            ai_rich_response_latex_metadata::AIRichResponseLatexExpression as Formula,
            ai_rich_response_map_metadata::AIRichResponseMapAnnotation as Annotation,
            ai_rich_response_table_metadata::AIRichResponseTableRow as Row,
        };
        macro_rules! parts {
            ($($field:ident: $value:expr,)+) => {
                [$(answer(with!(wa::AIRichResponseSubMessage { $field: Field::some($value) }))),+]
            };
        }
        let code = ["ho", "la"].map(|piece| with!(Code { code_content: some(piece) }));
        let reel = with!(Reel { title: some("hola") });
        let item = with!(Item { a_i_rich_response_content_item: reel.into() });
        messages.extend(parts! {
            image_metadata: with!(wa::AIRichResponseInlineImageMetadata { image_text: some("hola") }),
            code_metadata: with!(wa::AIRichResponseCodeMetadata { code_blocks: code.into() }),
            table_metadata: with!(wa::AIRichResponseTableMetadata { title: some("hola") }),
            table_metadata: with!(wa::AIRichResponseTableMetadata {
                rows: vec![with!(Row { items: vec!["hola".into()] })]
            }),
            latex_metadata: with!(wa::AIRichResponseLatexMetadata { text: some("hola") }),
            latex_metadata: with!(wa::AIRichResponseLatexMetadata {
                expressions: vec![with!(Formula { latex_expression: some("hola") })]
            }),
            map_metadata: with!(wa::AIRichResponseMapMetadata {
                annotations: vec![with!(Annotation { title: some("hola") })]
            }),
            map_metadata: with!(wa::AIRichResponseMapMetadata {
                annotations: vec![with!(Annotation { body: some("hola") })]
            }),
            content_items_metadata: with!(wa::AIRichResponseContentItemsMetadata { items_metadata: vec![item] }),
        });
        for message in messages {
            assert_eq!(of(&message), "hola", "{message:?}");
        }
    }

    #[test]
    fn amounts_groups_and_codes_are_shown() {
        let money = wa::Money { value: Some(2_550), offset: Some(2), currency_code: some("BRL") };
        let note = wa::Message { conversation: some("two pizzas"), ..Default::default() };
        let exact = kind::RequestPaymentMessage {
            note_message: Field::some(note),
            amount: Field::some(money),
            ..Default::default()
        };
        let thousandths = kind::RequestPaymentMessage {
            amount1000: Some(30_000_000),
            currency_code_iso4217: some("COP"),
            ..Default::default()
        };
        let group = kind::GroupInviteMessage { caption: some("come"), group_name: some("Mesa"), ..Default::default() };
        let button = kind::interactive_message::native_flow_message::NativeFlowButton {
            name: some("cta_copy"),
            button_params_json: some(r#"{"display_text":"Copy","copy_code":"PIZZA10"}"#),
        };
        let flow = kind::interactive_message::NativeFlowMessage { buttons: vec![button], ..Default::default() };
        let flow = kind::InteractiveMessage { interactive_message: Some(flow.into()), ..Default::default() };
        let asked = |payment| wa::Message { request_payment_message: Field::some(payment), ..Default::default() };
        for (message, words) in [
            (asked(exact), "25.50 BRL\ntwo pizzas"),
            (asked(thousandths), "30000.00 COP"),
            (wa::Message { group_invite_message: Field::some(group), ..Default::default() }, "come\nMesa"),
            (wa::Message { interactive_message: Field::some(flow), ..Default::default() }, "PIZZA10"),
        ] {
            assert_eq!(of(&message), words);
        }
        assert_eq!(
            (amount_of(7, 2, "").as_str(), amount_of(-1_234, 3, "X").as_str(), amount_of(9, 0, "Y").as_str()),
            ("0.07", "-1.234 X", "9 Y")
        );
    }

    #[test]
    fn tables_and_results_are_lines() {
        use wa::ai_rich_response_table_metadata::AIRichResponseTableRow as Row;
        let row = |items: [&str; 2]| Row { items: items.map(str::to_owned).into(), ..Default::default() };
        let table = wa::AIRichResponseTableMetadata {
            title: some("Menu"),
            rows: vec![row(["Pizza", "20"]), row(["Pasta", "18"])],
        };
        let part = wa::AIRichResponseSubMessage { table_metadata: Field::some(table), ..Default::default() };
        assert_eq!(of(&answer(part)), "Menu\nPizza | 20\nPasta | 18");
        let vote = |name: &str, count| kind::poll_result_snapshot_message::PollVote {
            option_name: some(name),
            option_vote_count: Some(count),
        };
        let result = kind::PollResultSnapshotMessage {
            name: some("Pizza?"),
            poll_votes: vec![vote("yes", 3), vote("no", 0)],
            ..Default::default()
        };
        let message = wa::Message { poll_result_snapshot_message: Field::some(result), ..Default::default() };
        assert_eq!(of(&message), "Pizza?\nyes: 3\nno: 0");
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
