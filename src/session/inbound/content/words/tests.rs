//! No text that a kind of message has is left out, and a nest of notes ends.

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
    let table =
        wa::AIRichResponseTableMetadata { title: some("Menu"), rows: vec![row(["Pizza", "20"]), row(["Pasta", "18"])] };
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
        let name = crate::session::inbound::content::fields::wordy(&sample).expect("a sample is of a kind with words");
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
