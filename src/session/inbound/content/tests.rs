use whatsapp_rust::{
    buffa::MessageField,
    waproto::whatsapp::{self as wa, message_association::AssociationType},
};

use super::*;

fn jid(text: &str) -> Jid {
    text.parse().unwrap()
}

struct ContentWorld {
    me: Vec<Jid>,
    customer: Jid,
    group: Jid,
}

impl ContentWorld {
    fn new() -> Self {
        Self {
            me: vec![jid("573001112233@s.whatsapp.net"), jid("99887766@lid")],
            customer: jid("573009998877@s.whatsapp.net"),
            group: jid("120363000000000001@g.us"),
        }
    }

    fn by_customer(&self) -> Parties<'_> {
        Parties { me: &self.me, sender: &self.customer, chat: &self.customer, from_me: false, is_group: false }
    }

    fn by_me(&self) -> Parties<'_> {
        Parties { me: &self.me, sender: &self.me[0], chat: &self.customer, from_me: true, is_group: false }
    }

    fn in_group(&self) -> Parties<'_> {
        Parties { me: &self.me, sender: &self.customer, chat: &self.group, from_me: false, is_group: true }
    }
}

fn words(text: &str) -> wa::Message {
    wa::Message { conversation: Some(text.into()), ..Default::default() }
}

fn wrapped(inner: wa::Message) -> MessageField<wa::message::FutureProofMessage> {
    MessageField::some(wa::message::FutureProofMessage { message: MessageField::some(inner) })
}

fn key(id: &str, from_me: bool, participant: Option<&str>) -> MessageField<wa::MessageKey> {
    MessageField::some(wa::MessageKey {
        id: Some(id.into()),
        from_me: Some(from_me),
        participant: participant.map(str::to_owned),
        ..Default::default()
    })
}

fn reaction(key: MessageField<wa::MessageKey>) -> wa::Message {
    let reaction = wa::message::ReactionMessage { key, text: Some("👍".into()), ..Default::default() };
    wa::Message { reaction_message: MessageField::some(reaction), ..Default::default() }
}

fn target(content: Option<Content>) -> MessageTarget {
    match content.unwrap() {
        Content::Reaction { target, .. } | Content::Revoke { target } | Content::Edit { target, .. } => target,
        other => panic!("{other:?}"),
    }
}

#[test]
fn wrappers_are_taken_off_in_any_order() {
    let world = ContentWorld::new();
    let once = wa::Message { view_once_message_v2: wrapped(words("once")), ..Default::default() };
    let ephemeral = wa::Message { ephemeral_message: wrapped(once), ..Default::default() };
    let text = Content::plain("once");
    assert_eq!(content(&ephemeral, &world.by_customer()), Some(text.clone()));
    let other_way = wa::Message {
        view_once_message: wrapped(wa::Message { ephemeral_message: wrapped(words("once")), ..Default::default() }),
        ..Default::default()
    };
    assert_eq!(content(&other_way, &world.by_customer()), Some(text));
}

#[test]
fn a_nest_of_wrappers_ends() {
    let world = ContentWorld::new();
    let mut nest = words("deep");
    for _ in 0..500 {
        nest = wa::Message { ephemeral_message: wrapped(nest), ..Default::default() };
    }
    assert!(matches!(content(&nest, &world.by_customer()), Some(Content::Unknown { .. })));
}

#[test]
fn view_once_is_said_of_the_media() {
    let world = ContentWorld::new();
    let image = wa::message::ImageMessage { mimetype: Some("image/jpeg".into()), ..Default::default() };
    let image = wa::Message { image_message: MessageField::some(image), ..Default::default() };
    let once = wa::Message { view_once_message_v2: wrapped(image), ..Default::default() };
    let Some(Content::Image(media)) = content(&once, &world.by_customer()) else { panic!() };
    assert!(media.view_once);
}

#[test]
fn a_reaction_says_whose_message_it_is_about() {
    let world = ContentWorld::new();
    let mine = target(content(&reaction(key("A", false, None)), &world.by_customer()));
    assert_eq!((mine.from_me, mine.sender.as_str()), (true, "573001112233@s.whatsapp.net"));
    let own = target(content(&reaction(key("A", true, None)), &world.by_customer()));
    assert_eq!((own.from_me, own.sender.as_str()), (false, "573009998877@s.whatsapp.net"));
    let theirs = target(content(&reaction(key("A", false, None)), &world.by_me()));
    assert_eq!((theirs.from_me, theirs.sender.as_str()), (false, "573009998877@s.whatsapp.net"));
    let group = target(content(&reaction(key("A", false, Some("99887766:3@lid"))), &world.in_group()));
    assert_eq!((group.from_me, group.sender.as_str()), (true, "99887766@lid"));
}

#[test]
fn edits_and_revokes_name_their_message() {
    let world = ContentWorld::new();
    let protocol = |r#type, edited_message| wa::Message {
        protocol_message: MessageField::some(wa::message::ProtocolMessage {
            key: key("A", true, None),
            r#type: Some(r#type),
            edited_message,
            ..Default::default()
        }),
        ..Default::default()
    };
    let edit = protocol(Protocol::MESSAGE_EDIT, MessageField::some(words("better")));
    let Some(Content::Edit { target, content: inner }) = content(&edit, &world.by_customer()) else { panic!() };
    assert_eq!((target.id.as_str(), target.from_me, inner.text()), ("A", false, "better"));
    let nested = protocol(Protocol::MESSAGE_EDIT, MessageField::some(edit));
    assert_eq!(content(&nested, &world.by_customer()), None);
    let revoke = protocol(Protocol::REVOKE, MessageField::none());
    assert!(matches!(content(&revoke, &world.by_customer()), Some(Content::Revoke { .. })));
}

#[test]
fn a_quote_carries_what_it_answers() {
    let world = ContentWorld::new();
    let context = wa::ContextInfo {
        stanza_id: Some("A".into()),
        participant: Some("573001112233@s.whatsapp.net".into()),
        quoted_message: MessageField::some(words("what would you like?")),
        is_forwarded: Some(true),
        mentioned_jid: vec!["1@lid".into()],
        ..Default::default()
    };
    let answer = wa::message::ExtendedTextMessage {
        text: Some("a pizza".into()),
        context_info: MessageField::some(context),
        ..Default::default()
    };
    let answer = wa::Message { extended_text_message: MessageField::some(answer), ..Default::default() };
    let quoted = quoted(&answer, &world.by_customer()).unwrap();
    assert_eq!((quoted.target.id.as_str(), quoted.target.from_me), ("A", true));
    assert_eq!(quoted.content.text(), "what would you like?");
    assert!(is_forwarded(&answer));
    assert_eq!(mentions(&answer), ["1@lid"]);
    // So does the edit that says something else instead.
    let edit = wa::message::ProtocolMessage {
        key: MessageField::some(wa::MessageKey { id: Some("B".into()), ..Default::default() }),
        r#type: Some(Protocol::MESSAGE_EDIT),
        edited_message: MessageField::some(answer),
        ..Default::default()
    };
    let edit = wa::Message { protocol_message: MessageField::some(edit), ..Default::default() };
    assert_eq!(super::quoted(&edit, &world.by_customer()).map(|quoted| quoted.target.id).as_deref(), Some("A"));
    assert_eq!(mentions(&edit), ["1@lid"]);
}

#[test]
fn what_we_have_no_form_for_keeps_its_name() {
    let world = ContentWorld::new();
    let invitation = wa::message::GroupInviteMessage { group_name: Some("Neighbours".into()), ..Default::default() };
    let invitation = wa::Message { group_invite_message: MessageField::some(invitation), ..Default::default() };
    let expected =
        Content::Unknown { name: "group_invite_message".into(), text: "Neighbours".into(), choices: Vec::new() };
    assert_eq!(content(&invitation, &world.by_customer()), Some(expected));
    // From a client newer than ours: all of it was dropped.
    assert!(matches!(content(&wa::Message::default(), &world.by_customer()), Some(Content::Unknown { .. })));
}

#[test]
fn a_place_keeps_what_was_written_beside_it() {
    let world = ContentWorld::new();
    for (name, comment, expected) in [
        (None, Some("the red door"), ("the red door", "")),
        (Some("Home"), Some("the red door"), ("Home", "the red door")),
        (Some("Home"), None, ("Home", "")),
    ] {
        let place = wa::message::LocationMessage {
            name: name.map(str::to_owned),
            comment: comment.map(str::to_owned),
            ..Default::default()
        };
        let place = wa::Message { location_message: MessageField::some(place), ..Default::default() };
        let Some(Content::Location(place)) = content(&place, &world.by_customer()) else { panic!() };
        assert_eq!((place.name.as_str(), place.comment.as_str()), expected);
    }
}

/// A cart that somebody sends without a word: a bot would hear nothing.
#[test]
fn an_order_without_words_says_its_title() {
    let world = ContentWorld::new();
    for (said, text) in [(None, "2 pizzas"), (Some(" "), "2 pizzas"), (Some("without onions"), "without onions")] {
        let order = wa::message::OrderMessage {
            order_title: Some("2 pizzas".into()),
            message: said.map(str::to_owned),
            ..Default::default()
        };
        let order = wa::Message { order_message: MessageField::some(order), ..Default::default() };
        let Some(Content::Order(order)) = content(&order, &world.by_customer()) else { panic!() };
        assert_eq!((order.title.as_str(), order.text.as_str()), ("2 pizzas", text));
    }
}

#[test]
fn an_answer_to_a_flow_keeps_its_id_and_its_question() {
    let world = ContentWorld::new();
    let flow = wa::message::interactive_response_message::NativeFlowResponseMessage {
        params_json: Some(r#"{"id":"size_large","title":"Grande"}"#.into()),
        ..Default::default()
    };
    let context = wa::ContextInfo { stanza_id: Some("Q".into()), ..Default::default() };
    let answer = wa::message::InteractiveResponseMessage {
        context_info: MessageField::some(context),
        interactive_response_message: Some(flow.into()),
        ..Default::default()
    };
    let answer = wa::Message { interactive_response_message: MessageField::some(answer), ..Default::default() };
    let expected = Content::Choice { id: "size_large".into(), text: "Grande".into(), parameters: String::new() };
    assert_eq!(content(&answer, &world.by_customer()), Some(expected));
    assert_eq!(quoted(&answer, &world.by_customer()).map(|quoted| quoted.target.id), Some("Q".into()));
}

#[test]
fn a_comment_says_its_words_and_what_it_is_about() {
    let world = ContentWorld::new();
    let comment = wa::message::CommentMessage {
        message: MessageField::some(words("me too")),
        target_message_key: key("P", false, None),
    };
    let comment = wa::Message { comment_message: MessageField::some(comment), ..Default::default() };
    assert_eq!(content(&comment, &world.by_customer()), Some(Content::plain("me too")));
    assert_eq!(quoted(&comment, &world.by_customer()).map(|quoted| quoted.target.id), Some("P".into()));
}

#[test]
fn markers_are_no_messages() {
    let world = ContentWorld::new();
    let album = wa::Message { album_message: MessageField::some(Default::default()), ..Default::default() };
    assert_eq!(content(&album, &world.by_customer()), Some(named_mark("album", None)));
    let protocol = wa::message::ProtocolMessage {
        r#type: Some(Protocol::STATUS_MENTION_MESSAGE),
        key: key("S", true, None),
        ..Default::default()
    };
    let inner = wa::Message { protocol_message: MessageField::some(protocol), ..Default::default() };
    for inner in [inner, wa::Message::default()] {
        let mention = wa::Message { status_mention_message: wrapped(inner), ..Default::default() };
        let Some(Content::Mark { name, .. }) = content(&mention, &world.by_customer()) else { panic!() };
        assert_eq!(name, "status_mention");
    }
    let keep = wa::message::KeepInChatMessage {
        key: key("A", true, None),
        keep_type: Some(wa::KeepType::KEEP_FOR_ALL),
        ..Default::default()
    };
    let keep = wa::Message { keep_in_chat_message: MessageField::some(keep), ..Default::default() };
    assert!(matches!(content(&keep, &world.by_customer()), Some(Content::Keep { on: true, .. })));
}

/// The small picture is the message, and the large one belongs to it; of an album each is a message.
#[test]
fn a_picture_in_hd_is_one_message() {
    let world = ContentWorld::new();
    let image = |caption: &str| {
        let image = wa::message::ImageMessage { caption: Some(caption.into()), ..Default::default() };
        wa::Message { image_message: MessageField::some(image), ..Default::default() }
    };
    let belongs = |r#type| {
        MessageField::some(wa::MessageContextInfo {
            message_association: MessageField::some(wa::MessageAssociation {
                association_type: Some(r#type),
                parent_message_key: key("SD", true, None),
                ..Default::default()
            }),
            ..Default::default()
        })
    };
    for (r#type, name) in [
        (AssociationType::HD_IMAGE_DUAL_UPLOAD, "hd_image"),
        (AssociationType::HD_VIDEO_DUAL_UPLOAD, "hd_video"),
        (AssociationType::HEVC_VIDEO_DUAL_UPLOAD, "hevc_video"),
        (AssociationType::MOTION_PHOTO, "motion_photo"),
        (AssociationType::MEDIA_POLL, "poll_option_image"),
        (AssociationType::EVENT_COVER_IMAGE, "event_cover_image"),
    ] {
        let within = wa::Message { message_context_info: belongs(r#type), ..image("a table") };
        let without = wa::Message {
            associated_child_message: wrapped(image("a table")),
            message_context_info: belongs(r#type),
            ..Default::default()
        };
        let child = wa::Message { associated_child_message: wrapped(within), ..Default::default() };
        for child in [child, without] {
            let target = MessageTarget { id: "SD".into(), from_me: false, sender: world.customer.to_string() };
            assert_eq!(content(&child, &world.by_customer()), Some(named_mark(name, Some(target))));
        }
    }
    let cover = wa::Message { event_cover_image: wrapped(image("")), ..Default::default() };
    assert_eq!(content(&cover, &world.by_customer()), Some(named_mark("event_cover_image", None)));
    let option = wa::Message { poll_creation_option_image_message: wrapped(image("")), ..Default::default() };
    assert_eq!(content(&option, &world.by_customer()), Some(named_mark("poll_option_image", None)));
    let of_album = wa::Message { message_context_info: belongs(AssociationType::MEDIA_ALBUM), ..image("one") };
    assert!(matches!(content(&of_album, &world.by_customer()), Some(Content::Image(_))));
    assert!(matches!(content(&image("one"), &world.by_customer()), Some(Content::Image(_))));
}

#[test]
fn the_protocols_own_messages_are_silent() {
    let world = ContentWorld::new();
    let keys =
        wa::Message { sender_key_distribution_message: MessageField::some(Default::default()), ..Default::default() };
    assert_eq!(content(&keys, &world.by_customer()), None);
}

/// Every kind that may answer another message says which, whom it mentions, and that it is passed on.
#[test]
fn every_kind_with_a_context_is_asked_for_it() {
    let world = ContentWorld::new();
    let context = wa::ContextInfo {
        stanza_id: Some("A".into()),
        participant: Some("573001112233@s.whatsapp.net".into()),
        is_forwarded: Some(true),
        mentioned_jid: vec!["1@lid".into()],
        ..Default::default()
    };
    macro_rules! kinds {
        ($($field:ident)+) => {
            [$((stringify!($field), {
                let mut message = wa::Message::default();
                message.$field.get_or_insert_default().context_info = MessageField::some(context.clone());
                message
            })),+]
        };
    }
    // As WhatsApp's protocol has them, by hand: one that `context` forgets is told here.
    let kinds = kinds!(
        buttons_message buttons_response_message contact_message contacts_array_message document_message
        event_invite_message event_message extended_text_message group_invite_message image_message audio_message
        interactive_message interactive_response_message list_message list_response_message live_location_message
        location_message newsletter_admin_invite_message newsletter_follower_invite_message_v2 order_message
        poll_creation_message poll_creation_message_v2 poll_creation_message_v3 poll_creation_message_v5
        poll_creation_message_v6 poll_result_snapshot_message poll_result_snapshot_message_v3 product_message
        ptv_message request_phone_number_message rich_response_message split_payment_message sticker_message
        sticker_pack_message template_button_reply_message template_message video_message
    );
    for (kind, message) in kinds {
        let quoted = quoted(&message, &world.by_customer()).map(|quoted| (quoted.target.id, quoted.target.from_me));
        assert_eq!(quoted, Some(("A".to_owned(), true)), "{kind}");
        assert_eq!((mentions(&message), is_forwarded(&message)), (vec!["1@lid".to_owned()], true), "{kind}");
        let wrapped = wa::Message { ephemeral_message: wrapped(message), ..Default::default() };
        assert_eq!(mentions(&wrapped), ["1@lid"], "{kind}");
    }
}

/// A row under `forms` that nobody reads would be a message that nobody sees.
#[test]
fn every_form_is_read() {
    let world = ContentWorld::new();
    macro_rules! forms {
        ($($field:ident $({ $inner:ident: $value:expr })?,)+) => {
            vec![$((stringify!($field), {
                let mut message = wa::Message::default();
                let _form = message.$field.get_or_insert_default();
                $(_form.$inner = $value;)?
                message
            })),+]
        };
    }
    let some = || Some("hola".to_owned());
    let mut forms = forms! {
        extended_text_message { text: some() },
        image_message, video_message, ptv_message, audio_message, document_message, sticker_message,
        location_message, live_location_message, contact_message, contacts_array_message,
        poll_creation_message, poll_creation_message_v2, poll_creation_message_v3, poll_creation_message_v5,
        poll_creation_message_v6,
        reaction_message { key: key("A", true, None) },
        pin_in_chat_message { key: key("A", true, None) },
        keep_in_chat_message { key: key("A", true, None) },
        order_message, buttons_response_message, template_button_reply_message, list_response_message,
        interactive_response_message,
        question_response_message { text: some() },
        status_question_answer_message { text: some() },
        status_quoted_message { text: some() },
    };
    forms.push(("conversation", words("hola")));
    let mut read = vec!["protocol_message", "poll_update_message"];
    for (form, message) in forms {
        let content = content(&message, &world.by_customer());
        assert!(!matches!(content, None | Some(Content::Unknown { .. } | Content::Mark { .. })), "{form}: {content:?}");
        read.push(form);
    }
    for form in fields::FORMS {
        assert!(read.contains(form), "nobody reads {form}");
    }
}
