//! Reading and building stanzas: the few shapes that the whole server shares.
//!
//! Clients differ in how they encode the same thing: Baileys may send text as a token or packed string where
//! whatsapp-rust sends bytes, an attribute may be a JID or its text. Readers here accept both.

use std::borrow::Cow;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeContent, Server};

/// `s.whatsapp.net` as a JID with an empty user. Baileys compares with `@s.whatsapp.net` and ignores the bare token.
pub(crate) fn server_jid() -> Jid {
    Jid::new("", Server::Pn)
}

pub(crate) fn attr<'a>(node: &'a Node, key: &str) -> Option<Cow<'a, str>> {
    node.attrs.get(key).map(|v| v.as_str())
}

pub(crate) fn attr_is(node: &Node, key: &str, value: &str) -> bool {
    node.attrs.get(key).is_some_and(|v| v == value)
}

pub(crate) fn jid_attr(node: &Node, key: &str) -> Option<Jid> {
    node.attrs.get(key).and_then(|v| v.to_jid())
}

pub(crate) fn child<'a>(node: &'a Node, tag: &str) -> Option<&'a Node> {
    node.get_optional_child(tag)
}

/// The first child, whose tag says what an `<iq>` is about.
pub(crate) fn first_child(node: &Node) -> Option<&Node> {
    node.children().and_then(<[Node]>::first)
}

/// Content as bytes, whichever way the client encoded it.
pub(crate) fn content(node: &Node) -> Option<&[u8]> {
    match node.content.as_ref()? {
        NodeContent::Bytes(bytes) => Some(bytes),
        NodeContent::String(text) => Some(text.as_bytes()),
        NodeContent::Nodes(_) => None,
    }
}

pub(crate) fn child_content<'a>(node: &'a Node, tag: &str) -> Option<&'a [u8]> {
    content(child(node, tag)?)
}

pub(crate) fn child_array<const N: usize>(node: &Node, tag: &str) -> Option<[u8; N]> {
    child_content(node, tag)?.try_into().ok()
}

/// Big-endian integer of at most four bytes, as registration and key ids travel.
pub(crate) fn child_uint(node: &Node, tag: &str) -> Option<u32> {
    uint(child_content(node, tag)?)
}

pub(crate) fn uint(bytes: &[u8]) -> Option<u32> {
    (bytes.len() <= 4).then(|| bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
}

pub(crate) fn leaf(tag: &'static str, bytes: impl Into<Vec<u8>>) -> Node {
    NodeBuilder::new(tag).bytes(bytes).build()
}

pub(crate) fn iq_result(request: &Node, children: impl IntoIterator<Item = Node>) -> Node {
    let mut children = children.into_iter().peekable();
    let reply = iq_reply(request, "result");
    if children.peek().is_none() { reply.build() } else { reply.children(children).build() }
}

pub(crate) fn iq_error(request: &Node, code: u16, text: &str) -> Node {
    let error = NodeBuilder::new("error").attr("code", code).attr("text", text).build();
    iq_reply(request, "error").children([error]).build()
}

fn iq_reply(request: &Node, kind: &'static str) -> NodeBuilder {
    NodeBuilder::new("iq")
        .attr("from", server_jid())
        .attr("id", attr(request, "id").unwrap_or_default().as_ref())
        .attr("type", kind)
}

/// A request by the server.
pub(crate) fn iq_set(id: &str, child: Node) -> Node {
    NodeBuilder::new("iq").attr("from", server_jid()).attr("id", id).attr("type", "set").children([child]).build()
}

/// The server's ack of what a client sent: class is the tag of the stanza, `from` its addressee.
pub(crate) fn server_ack(stanza: &Node, time: u64) -> Node {
    let mut ack = NodeBuilder::new("ack")
        .attr("class", stanza.tag.as_ref())
        .attr("id", attr(stanza, "id").unwrap_or_default().as_ref())
        .attr("t", time);
    if let Some(to) = stanza.attrs.get("to") {
        ack = ack.attr("from", to.clone());
    }
    if let Some(participant) = stanza.attrs.get("participant") {
        ack = ack.attr("participant", participant.clone());
    }
    if stanza.tag == "receipt"
        && let Some(kind) = stanza.attrs.get("type")
    {
        ack = ack.attr("type", kind.clone());
    }
    ack.build()
}

pub(crate) fn stream_error(code: u16) -> Node {
    NodeBuilder::new("stream:error").attr("code", code).build()
}

/// The server is owed an ack of a message.
pub(crate) fn stream_owed(id: &str) -> Node {
    let ack = NodeBuilder::new("ack").attr("class", "message").attr("id", id).build();
    NodeBuilder::new("stream:error").children([ack]).build()
}

/// Another login took the place of this one; WhatsApp sends no code here.
pub(crate) fn stream_replaced() -> Node {
    let conflict = NodeBuilder::new("conflict").attr("type", "replaced").build();
    NodeBuilder::new("stream:error").children([conflict]).build()
}

/// The device was unlinked on the phone.
pub(crate) fn stream_removed() -> Node {
    let conflict = NodeBuilder::new("conflict").attr("type", "device_removed").build();
    NodeBuilder::new("stream:error").attr("code", 401u16).children([conflict]).build()
}

/// The answer to a login that is refused. A temporary ban (402) also says why and for how many seconds.
pub(crate) fn failure(reason: u16) -> Node {
    let node = NodeBuilder::new("failure").attr("reason", reason).attr("location", "lla");
    match reason {
        402 => node.attr("code", 101u16).attr("expire", 8u16).build(),
        _ => node.build(),
    }
}
