//! Buttons, lists and flows of businesses: what they offer to choose from, what somebody chose, and how one of them is chosen. Pure.

use serde_json::{Value, json};
use whatsapp_rust::{
    buffa::MessageField,
    waproto::whatsapp::{self as wa, hydrated_template_button::HydratedButton, message as kind},
};

use crate::message::{ChoiceOption, Content};

/// Something to choose.
pub struct ChoiceOffer {
    pub option: ChoiceOption,
    form: Form,
}

/// In which form WhatsApp's clients choose it.
enum Form {
    Button,
    Row {
        description: Option<String>,
    },
    /// Of a template or a flow: its place among the buttons, and the card of a carousel that has it.
    Reply {
        index: Option<u32>,
        card: Option<u32>,
    },
    FlowRow {
        description: Option<String>,
    },
}

/// Carousels hold further messages; a deeper nest is an attack.
const MAX_DEPTH: usize = 4;

/// What a message, within its wrappers, offers.
pub fn offers(base: &wa::Message) -> Vec<ChoiceOffer> {
    let mut found = Offers::default();
    let buttons = base.buttons_message.as_option();
    buttons.into_iter().flat_map(|message| &message.buttons).for_each(|button| found.button(button));
    let list = base.list_message.as_option();
    for row in list.into_iter().flat_map(|list| &list.sections).flat_map(|section| &section.rows) {
        found.add(said(&row.row_id), said(&row.title), Form::Row { description: row.description.clone() });
    }
    if let Some(template) = base.template_message.as_option() {
        found.template(template);
    }
    if let Some(interactive) = base.interactive_message.as_option() {
        found.interactive(interactive, None, 0);
    }
    found.0
}

/// The same, for consumers.
pub(super) fn options(base: &wa::Message) -> Vec<ChoiceOption> {
    offers(base).into_iter().map(|offer| offer.option).collect()
}

#[derive(Default)]
struct Offers(Vec<ChoiceOffer>);

impl Offers {
    /// What has no id opens a page or dials.
    fn add(&mut self, id: String, text: String, form: Form) {
        if !id.is_empty() {
            self.0.push(ChoiceOffer { option: ChoiceOption { id, text }, form });
        }
    }

    fn button(&mut self, button: &kind::buttons_message::Button) {
        if let Some(flow) = button.native_flow_info.as_option() {
            return self.flow(flow.name.as_deref(), flow.params_json.as_deref(), None, None);
        }
        let text = button.button_text.as_option().map(|text| said(&text.display_text));
        self.add(said(&button.button_id), text.unwrap_or_default(), Form::Button);
    }

    fn template(&mut self, template: &kind::TemplateMessage) {
        use kind::template_message::Format;
        let rows = match &template.format {
            Some(Format::HydratedFourRowTemplate(rows)) => Some(&**rows),
            Some(Format::InteractiveMessageTemplate(interactive)) => return self.interactive(interactive, None, 0),
            _ => template.hydrated_template.as_option(),
        };
        for button in rows.into_iter().flat_map(|rows| &rows.hydrated_buttons) {
            if let Some(HydratedButton::QuickReplyButton(reply)) = &button.hydrated_button {
                let form = Form::Reply { index: button.index, card: None };
                self.add(said(&reply.id), said(&reply.display_text), form);
            }
        }
    }

    fn interactive(&mut self, message: &kind::InteractiveMessage, card: Option<u32>, depth: usize) {
        use kind::interactive_message::InteractiveMessage as Part;
        if depth > MAX_DEPTH {
            return;
        }
        match &message.interactive_message {
            Some(Part::NativeFlowMessage(flow)) => {
                for (button, index) in flow.buttons.iter().zip(0..) {
                    self.flow(button.name.as_deref(), button.button_params_json.as_deref(), Some(index), card);
                }
            }
            Some(Part::CarouselMessage(carousel)) => {
                for (message, card) in carousel.cards.iter().zip(0..) {
                    self.interactive(message, Some(card), depth + 1);
                }
            }
            _ => {}
        }
    }

    /// A button of a flow: its parameters are JSON.
    fn flow(&mut self, name: Option<&str>, parameters: Option<&str>, index: Option<u32>, card: Option<u32>) {
        let Some(parameters) = parameters.and_then(|json| serde_json::from_str::<Value>(json).ok()) else { return };
        let text_of = |value: &Value, name: &str| parameter(value, name).unwrap_or_default();
        match name {
            Some("quick_reply") => {
                let form = Form::Reply { index, card };
                self.add(text_of(&parameters, "id"), text_of(&parameters, "display_text"), form);
            }
            Some("single_select") => {
                let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
                for row in list(&parameters, "sections").iter().flat_map(|section| list(section, "rows")) {
                    let form = Form::FlowRow { description: parameter(&row, "description") };
                    self.add(text_of(&row, "id"), text_of(&row, "title"), form);
                }
            }
            _ => {}
        }
    }
}

impl ChoiceOffer {
    /// A message that chooses it. `text`: what the chat shows of that.
    pub fn chosen(self, text: &str) -> wa::Message {
        let (id, text) = (self.option.id, text.to_owned());
        match self.form {
            Form::Button => {
                use kind::buttons_response_message::{Response, Type};
                let response = kind::ButtonsResponseMessage {
                    selected_button_id: Some(id),
                    r#type: Some(Type::DISPLAY_TEXT),
                    response: Some(Response::SelectedDisplayText(text)),
                    ..Default::default()
                };
                wa::Message { buttons_response_message: MessageField::some(response), ..Default::default() }
            }
            Form::Row { description } => {
                use kind::list_response_message::{ListType, SingleSelectReply};
                let response = kind::ListResponseMessage {
                    title: Some(text),
                    description,
                    list_type: Some(ListType::SINGLE_SELECT),
                    single_select_reply: MessageField::some(SingleSelectReply { selected_row_id: Some(id) }),
                    ..Default::default()
                };
                wa::Message { list_response_message: MessageField::some(response), ..Default::default() }
            }
            Form::Reply { index, card } => {
                let reply = kind::TemplateButtonReplyMessage {
                    selected_id: Some(id),
                    selected_display_text: Some(text),
                    selected_index: index,
                    selected_carousel_card_index: card,
                    ..Default::default()
                };
                wa::Message { template_button_reply_message: MessageField::some(reply), ..Default::default() }
            }
            Form::FlowRow { description } => {
                use kind::interactive_response_message::{Body, NativeFlowResponseMessage};
                let mut parameters = json!({ "id": id, "title": text });
                if let Some(description) = description {
                    parameters["description"] = json!(description);
                }
                let flow = NativeFlowResponseMessage {
                    name: Some("menu_options".into()),
                    params_json: Some(parameters.to_string()),
                    version: Some(3),
                };
                let response = kind::InteractiveResponseMessage {
                    body: MessageField::some(Body { text: Some(text), ..Default::default() }),
                    interactive_response_message: Some(flow.into()),
                    ..Default::default()
                };
                wa::Message { interactive_response_message: MessageField::some(response), ..Default::default() }
            }
        }
    }
}

/// What somebody chose.
pub(super) fn choice(base: &wa::Message) -> Option<Content> {
    let choice = |id, text| Some(Content::Choice { id, text, parameters: String::new() });
    if let Some(answer) = base.buttons_response_message.as_option() {
        let text = match &answer.response {
            Some(kind::buttons_response_message::Response::SelectedDisplayText(text)) => text.clone(),
            None => String::new(),
        };
        return choice(said(&answer.selected_button_id), text);
    }
    if let Some(answer) = base.template_button_reply_message.as_option() {
        return choice(said(&answer.selected_id), said(&answer.selected_display_text));
    }
    if let Some(answer) = base.list_response_message.as_option() {
        let row = answer.single_select_reply.as_option().map(|reply| said(&reply.selected_row_id));
        return choice(row.unwrap_or_default(), said(&answer.title));
    }
    base.interactive_response_message.as_option().map(of_flow)
}

/// The button or row chosen in a flow, or what somebody filled in: it is in the flow's parameters, `{"id":…}`.
fn of_flow(answer: &kind::InteractiveResponseMessage) -> Content {
    use kind::interactive_response_message::InteractiveResponseMessage as Answer;
    let raw = match &answer.interactive_response_message {
        Some(Answer::NativeFlowResponseMessage(flow)) => flow.params_json.as_deref().unwrap_or_default(),
        None => "",
    };
    let parameters: Option<Value> = serde_json::from_str(raw).ok();
    let said = |name: &str| parameter(parameters.as_ref()?, name);
    let text = answer.body.as_option().and_then(|body| body.text.clone()).filter(|text| !text.is_empty());
    // What the choice says itself is not said twice.
    let is_told = match &parameters {
        Some(Value::Object(fields)) => fields.keys().all(|name| ["id", "title", "display_text"].contains(&&**name)),
        _ => raw.is_empty(),
    };
    Content::Choice {
        id: said("id").unwrap_or_default(),
        text: text.or_else(|| said("title")).or_else(|| said("display_text")).unwrap_or_default(),
        parameters: if is_told { String::new() } else { raw.to_owned() },
    }
}

/// Some businesses write numbers.
fn parameter(parameters: &Value, name: &str) -> Option<String> {
    match parameters.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn said(text: &Option<String>) -> String {
    text.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.into())
    }

    fn flow_answer(parameters: &str) -> Content {
        let flow = kind::interactive_response_message::NativeFlowResponseMessage {
            params_json: some(parameters),
            ..Default::default()
        };
        let answer =
            kind::InteractiveResponseMessage { interactive_response_message: Some(flow.into()), ..Default::default() };
        choice(&wa::Message { interactive_response_message: MessageField::some(answer), ..Default::default() }).unwrap()
    }

    #[test]
    fn an_answer_to_a_flow_keeps_numbers_and_what_was_filled_in() {
        let form = r#"{"name":"Ana","flow_token":"t","screen_0_TextInput_0":"no onions"}"#;
        let row = r#"{"id":"a","title":"A","description":"with cheese"}"#;
        for (parameters, id, text, kept) in [
            (r#"{"id":"size_large","title":"Grande"}"#, "size_large", "Grande", ""),
            (r#"{"id":7,"display_text":"Siete"}"#, "7", "Siete", ""),
            (row, "a", "A", row),
            (form, "", "", form),
            ("no JSON", "", "", "no JSON"),
            ("", "", "", ""),
        ] {
            let expected = Content::Choice { id: id.into(), text: text.into(), parameters: kept.into() };
            assert_eq!(flow_answer(parameters), expected);
        }
    }

    /// A message of each form that offers something: two things, and one that is no choice.
    fn asking() -> Vec<(&'static str, wa::Message)> {
        let text = |id: &str| {
            let text = kind::buttons_message::button::ButtonText { display_text: some(&id.to_uppercase()) };
            MessageField::some(text)
        };
        let button = |id: &str| kind::buttons_message::Button {
            button_id: some(id),
            button_text: text(id),
            ..Default::default()
        };
        let buttons =
            kind::ButtonsMessage { buttons: vec![button("a"), button("b"), button("")], ..Default::default() };
        let row = |id: &str| kind::list_message::Row {
            row_id: some(id),
            title: some(&id.to_uppercase()),
            description: some("with cheese"),
        };
        let section = |ids: &[&str]| kind::list_message::Section {
            rows: ids.iter().map(|id| row(id)).collect(),
            ..Default::default()
        };
        let list = kind::ListMessage { sections: vec![section(&["a"]), section(&["b", ""])], ..Default::default() };
        let reply = |index: u32, id: &str| wa::HydratedTemplateButton {
            index: Some(index),
            hydrated_button: Some(HydratedButton::QuickReplyButton(Box::new(
                wa::hydrated_template_button::HydratedQuickReplyButton {
                    display_text: some(&id.to_uppercase()),
                    id: some(id),
                },
            ))),
        };
        let hydrated = kind::template_message::HydratedFourRowTemplate {
            hydrated_buttons: vec![reply(0, "a"), reply(1, "b"), wa::HydratedTemplateButton::default()],
            ..Default::default()
        };
        let template = kind::TemplateMessage { hydrated_template: MessageField::some(hydrated), ..Default::default() };
        use kind::interactive_message::{NativeFlowMessage, native_flow_message::NativeFlowButton};
        let flow = |buttons: &[(&str, &str)]| {
            let button = |(name, parameters): &(&str, &str)| NativeFlowButton {
                name: some(name),
                button_params_json: some(parameters),
            };
            let flow = NativeFlowMessage { buttons: buttons.iter().map(button).collect(), ..Default::default() };
            kind::InteractiveMessage { interactive_message: Some(flow.into()), ..Default::default() }
        };
        let link = ("cta_url", r#"{"display_text":"Look","id":"x","url":"https://example.com"}"#);
        let (a, b) =
            (("quick_reply", r#"{"id":"a","display_text":"A"}"#), ("quick_reply", r#"{"id":"b","display_text":"B"}"#));
        let select = json!({ "title": "Menu", "sections": [
            { "rows": [{ "id": "a", "title": "A", "description": "with cheese" }] },
            { "rows": [{ "id": "b", "title": "B" }] },
        ] });
        let select = select.to_string();
        let carousel = kind::interactive_message::CarouselMessage {
            cards: vec![flow(&[a]), flow(&[link, b])],
            ..Default::default()
        };
        let carousel = kind::InteractiveMessage { interactive_message: Some(carousel.into()), ..Default::default() };
        let interactive =
            |message| wa::Message { interactive_message: MessageField::some(message), ..Default::default() };
        vec![
            ("buttons", wa::Message { buttons_message: MessageField::some(buttons), ..Default::default() }),
            ("list", wa::Message { list_message: MessageField::some(list), ..Default::default() }),
            ("template", wa::Message { template_message: MessageField::some(template), ..Default::default() }),
            ("flow", interactive(flow(&[a, link, b, ("quick_reply", "no JSON")]))),
            ("select", interactive(flow(&[link, ("single_select", &select)]))),
            ("carousel", interactive(carousel)),
        ]
    }

    #[test]
    fn what_a_business_offers_has_ids_and_can_be_chosen() {
        let option = |id: &str| ChoiceOption { id: id.into(), text: id.to_uppercase() };
        for (form, message) in asking() {
            assert_eq!(options(&message), [option("a"), option("b")], "{form}");
            let last = offers(&message).pop().unwrap().chosen("the second");
            let Some(Content::Choice { id, text, .. }) = choice(&last) else { panic!("{form}: {last:?}") };
            assert_eq!((id.as_str(), text.as_str()), ("b", "the second"), "{form}");
            let reply = last.template_button_reply_message.as_option();
            let place = reply.map(|reply| (reply.selected_index, reply.selected_carousel_card_index));
            let expected = match form {
                "template" => Some((Some(1), None)),
                "flow" => Some((Some(2), None)),
                "carousel" => Some((Some(1), Some(1))),
                _ => None,
            };
            assert_eq!(place, expected, "{form}");
        }
        let (_, list) = asking().swap_remove(1);
        let first = offers(&list).swap_remove(0).chosen("A");
        let described = first.list_response_message.as_option().and_then(|answer| answer.description.clone());
        assert_eq!(described, some("with cheese"));
    }

    #[test]
    fn a_nest_of_cards_ends() {
        use kind::interactive_message::CarouselMessage;
        let mut nest = kind::InteractiveMessage::default();
        for _ in 0..500 {
            let carousel = CarouselMessage { cards: vec![nest], ..Default::default() };
            nest = kind::InteractiveMessage { interactive_message: Some(carousel.into()), ..Default::default() };
        }
        let message = wa::Message { interactive_message: MessageField::some(nest), ..Default::default() };
        assert!(offers(&message).is_empty());
    }
}
