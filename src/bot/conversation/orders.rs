//! Orders of this customer: placing, status, cancelling, the kitchen's steps. Owns the promise that an order is placed with the amounts
//! that were shown last, and once a confirmation.

use jiff::{SignedDuration, Timestamp};

use super::{
    Effect, checkout,
    exchange::Exchange,
    quote::{self, Quote},
    state::{ConfirmedTexts, KnownOrder, Phase},
    words,
};
use crate::bot::{
    OrderState,
    money::Money,
    order::{Destination, Order, OrderStage, PaymentStatus},
    texts::TextKey,
};

/// WhatsApp's times are whole seconds.
const COARSENESS: SignedDuration = SignedDuration::from_secs(1);

/// The yes was said to the summary: WhatsApp took it after the summary had left.
pub fn is_heard(exchange: &Exchange<'_>, yes_at: Option<Timestamp>) -> bool {
    let left = exchange.talk.shown_at.max(exchange.moment.told_at);
    let said = yes_at.and_then(|at| at.checked_add(COARSENESS).ok());
    left.is_none_or(|left| said.is_none_or(|said| left < Timestamp::MAX && said >= left))
}

/// Places what was shown, if all its terms still hold: dishes, units, amounts, way, payment. If not, the change is told, and the order is
/// asked for what is missing or shown anew.
pub fn confirm(exchange: &mut Exchange<'_>, remark: Option<&str>) {
    let shown = exchange.talk.shown.clone();
    let pruned = quote::prune(exchange);
    let withdrawn = checkout::withdraw(exchange);
    let is_whole = !pruned && !withdrawn;
    let talk = &exchange.talk;
    let payment = talk.payment;
    let quote = Quote::new(&talk.order, talk.destination.as_ref(), exchange.restaurant);
    if let (Some(shown), Some(quote)) = (&shown, &quote)
        && is_whole
        && quote.shown() != *shown
    {
        let changes = quote::changes(shown, quote, exchange.language());
        exchange.say(TextKey::SummaryChanged, &[("changes", &changes)]);
    }
    if checkout::ask_missing(exchange) {
        return;
    }
    // Where one method is left, the checkout has taken it without a question.
    let holds = is_whole && exchange.talk.payment == payment;
    match quote.filter(|quote| holds && shown.is_some_and(|shown| quote.shown() == shown)) {
        Some(quote) => place(exchange, quote, remark),
        None => checkout::summarise(exchange),
    }
}

fn place(exchange: &mut Exchange<'_>, quote: Quote, remark: Option<&str>) {
    let Some(destination) = exchange.talk.destination.clone() else { return checkout::advance(exchange) };
    let settings = &exchange.restaurant.settings;
    let chance = exchange.moment.chance;
    let id = fresh_id(exchange);
    let talk = &mut exchange.talk;
    let comment = match (talk.comment.as_str(), remark) {
        (comment, None) => comment.to_owned(),
        ("", Some(remark)) => remark.to_owned(),
        (comment, Some(remark)) => format!("{comment}. {remark}"),
    };
    let is_unpaid = talk.payment.is_some_and(|method| settings.prepay_methods.contains(&method));
    let given = talk.name.as_deref().or(exchange.customer.name.as_deref()).unwrap_or_default();
    let order = Order {
        id: id.clone(),
        customer: words::one_line(given, 60),
        chat: exchange.customer.chat.clone(),
        phone: exchange.customer.phone.clone(),
        contact_phone: talk.contact_phone.clone().or(exchange.customer.phone.clone()),
        destination: destination.clone(),
        comment,
        subtotal: quote.subtotal,
        delivery_cost: quote.delivery_cost,
        total: quote.total,
        lines: quote.lines,
        stage: OrderStage::Pendiente,
        payment_method: talk.payment,
        payment_status: if is_unpaid { PaymentStatus::Pending } else { PaymentStatus::Cash },
        tracking_token: hex(&chance[3..9]),
        placed_at: exchange.moment.now,
        history: Vec::new(),
    };
    talk.orders.push(KnownOrder {
        id: id.clone(),
        stage: OrderStage::Pendiente,
        total: order.total,
        placed_at: order.placed_at,
        is_pick_up: destination == Destination::PickUp,
        is_unpaid,
        is_cancelled_here: false,
    });
    let lines = std::mem::take(&mut talk.order).lines;
    talk.history.push(lines);
    let ids = talk.heard.drain(..).map(|heard| heard.id).collect();
    talk.confirmed = Some(ConfirmedTexts { order: id.clone(), ids });
    talk.shown = None;
    talk.answered = 0;
    talk.phase = Phase::Idle;
    if matches!(destination, Destination::Delivery { .. }) {
        talk.last_destination = Some(destination);
    }
    talk.destination = None;
    talk.comment.clear();
    let payment = talk.payment.take();
    talk.contact_phone = None;
    exchange.progressed = true;
    let (language, total) = (settings.language, order.total.to_string());
    let time = settings.delivery_time.map(|time| words::minutes(time, language)).unwrap_or_default();
    let page = settings.tracking_url.replace("{token}", &order.tracking_token);
    let tracking = words::labelled("Sígalo aquí", "Follow it here", &page, language);
    let page = settings.payment_link.replace("{order}", &id).replace("{total}", &order.total.amount().to_string());
    let page = page.replace("{token}", &order.tracking_token);
    let link = words::labelled("Pague aquí", "Pay here", &page, language);
    exchange.do_it(Effect::Place(Box::new(order)));
    let values = [("order", id.as_str()), ("total", &total), ("time", &time), ("tracking", &tracking)];
    exchange.say(TextKey::Placed, &values);
    if let Some(payment) = payment.filter(|_| is_unpaid) {
        let payment = words::payment(payment, language);
        let values = [("payment", payment), ("total", &total), ("order", &id), ("link", &link)];
        exchange.say(TextKey::Prepay, &values);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Six digits that no other order of this customer has.
fn fresh_id(exchange: &Exchange<'_>) -> String {
    let chance = exchange.moment.chance;
    let windows = [&chance[0..3], &chance[9..12], &chance[12..15]];
    let is_free = |id: &String| exchange.talk.orders.iter().all(|order| order.id != *id);
    windows.into_iter().map(hex).find(is_free).unwrap_or_else(|| hex(&chance[0..3]))
}

/// Each order that is under way, or the last one.
pub fn say_status(exchange: &mut Exchange<'_>) {
    let language = exchange.language();
    let orders = &exchange.talk.orders;
    let open = orders.iter().filter(|order| !order.stage.is_final());
    let mut told: Vec<KnownOrder> = open.cloned().collect();
    if told.is_empty() {
        told.extend(orders.last().cloned());
    }
    if told.is_empty() {
        let has_basket = !exchange.talk.order.lines.is_empty();
        exchange.say(if has_basket { TextKey::NotPlaced } else { TextKey::NoOrders }, &[]);
        // It may be what was asked.
        if let Some(time) = exchange.restaurant.settings.delivery_time {
            exchange.say_text(words::minutes(time, language));
        }
        return;
    }
    for order in told {
        let stage = words::stage(order.stage, order.is_pick_up, order.is_unpaid, language);
        exchange.say(TextKey::StatusLine, &[("order", &order.id), ("stage", stage)]);
    }
}

/// The order that was placed last with its dishes, and the stage of others that are under way. False: there is none.
pub fn say_last(exchange: &mut Exchange<'_>) -> bool {
    let mut orders = exchange.talk.orders.clone();
    let Some(last) = orders.pop() else { return false };
    let language = exchange.language();
    let stage_of = |order: &KnownOrder| words::stage(order.stage, order.is_pick_up, order.is_unpaid, language);
    let lines = exchange.talk.history.last();
    let items = lines.map(|lines| quote::names(lines, exchange.menu(), language, "\n")).unwrap_or_default();
    let total = last.total.to_string();
    let values = [("order", last.id.as_str()), ("stage", stage_of(&last)), ("items", &items), ("total", &total)];
    exchange.say(TextKey::LastOrder, &values);
    for other in orders.iter().filter(|order| !order.stage.is_final()) {
        exchange.say(TextKey::StatusLine, &[("order", &other.id), ("stage", stage_of(other))]);
    }
    true
}

/// The customer wants an order cancelled that was placed.
pub fn ask_cancel(exchange: &mut Exchange<'_>, named: Option<&str>) {
    let orders = &exchange.talk.orders;
    if let Some(named) = named {
        return match orders.iter().find(|order| order.id == named).map(|order| order.stage) {
            Some(stage) if stage.is_cancellable_by_customer() => cancel(exchange, named),
            Some(stage) if !stage.is_final() => exchange.say(TextKey::CancelLate, &[("order", named)]),
            _ => exchange.say(TextKey::NothingToCancel, &[]),
        };
    }
    let cancellable = orders.iter().filter(|order| order.stage.is_cancellable_by_customer());
    let cancellable: Vec<KnownOrder> = cancellable.cloned().collect();
    match cancellable.as_slice() {
        [] => match orders.iter().rev().find(|order| !order.stage.is_final()).map(|order| order.id.clone()) {
            Some(late) => exchange.say(TextKey::CancelLate, &[("order", &late)]),
            None => exchange.say(TextKey::NothingToCancel, &[]),
        },
        [only] => {
            exchange.talk.phase = Phase::CancelOrder { order: only.id.clone() };
            let total = only.total.to_string();
            exchange.say(TextKey::CancelAsk, &[("order", &only.id), ("total", &total)]);
        }
        several => {
            // Options have the numbers of the orders among all, which answers are read by.
            let number = |id: &str| orders.iter().position(|order| order.id == id).unwrap_or_default() + 1;
            let options: Vec<String> =
                several.iter().map(|order| format!("{}. #{} ({})", number(&order.id), order.id, order.total)).collect();
            exchange.talk.phase = Phase::CancelWhich;
            exchange.say(TextKey::CancelWhich, &[("options", &options.join("\n"))]);
        }
    }
}

/// Cancels an order that is still cancellable by all that is known here.
pub fn cancel(exchange: &mut Exchange<'_>, id: &str) {
    exchange.talk.phase = Phase::Idle;
    let Some(order) = exchange.talk.orders.iter_mut().find(|order| order.id == id) else { return };
    if !order.stage.is_cancellable_by_customer() {
        let late = if order.stage.is_final() { TextKey::NothingToCancel } else { TextKey::CancelLate };
        return exchange.say(late, &[("order", id)]);
    }
    order.stage = OrderStage::Cancelado;
    order.is_cancelled_here = true;
    exchange.progressed = true;
    exchange.do_it(Effect::Cancel { order: id.to_owned() });
    exchange.say(TextKey::OrderCancelled, &[("order", id)]);
}

/// The kitchen moved an order; the customer has a notice of it, unless somebody else talks.
pub fn moved(exchange: &mut Exchange<'_>, id: &str, stage: OrderStage, may_tell: bool) {
    let Some(order) = exchange.talk.orders.iter_mut().find(|order| order.id == id) else { return };
    if order.stage == stage {
        return;
    }
    let was_cancelled_here = std::mem::take(&mut order.is_cancelled_here);
    order.stage = stage;
    // A kitchen may begin before the money is there; the payment is told when it comes.
    order.is_unpaid &= stage != OrderStage::Cancelado;
    let is_pick_up = order.is_pick_up;
    // Tells a customer who was asked "shall I cancel it?" before the kitchen began that it is too late: their "yes"
    // must not go unheard.
    if let Phase::CancelOrder { order } = &exchange.talk.phase
        && order == id
        && stage.is_final()
    {
        exchange.talk.phase = Phase::Idle;
    }
    let key = match stage {
        // The kitchen was faster than the customer's wish.
        OrderStage::Cocinando | OrderStage::Listo if was_cancelled_here => TextKey::CancelLate,
        OrderStage::Pendiente => return,
        OrderStage::Cocinando => TextKey::NoticeCooking,
        OrderStage::Listo if is_pick_up => TextKey::NoticeReadyPickUp,
        OrderStage::Listo => TextKey::NoticeReady,
        OrderStage::Entregado => TextKey::NoticeDelivered,
        OrderStage::Cancelado => TextKey::NoticeCancelled,
    };
    let notice = exchange.text(key, &[("order", id)]);
    if may_tell && !notice.is_empty() {
        exchange.do_it(Effect::Notice(notice));
    }
}

/// The payment that an order waited for has come.
pub fn paid(exchange: &mut Exchange<'_>, id: &str, may_tell: bool) {
    let order = exchange.talk.orders.iter_mut().find(|order| order.id == id && order.is_unpaid);
    let Some(order) = order else { return };
    order.is_unpaid = false;
    let notice = exchange.text(TextKey::NoticePaid, &[("order", id)]);
    if may_tell && !notice.is_empty() {
        exchange.do_it(Effect::Notice(notice));
    }
}

/// The order was emptied by the customer.
pub fn forget_basket(exchange: &mut Exchange<'_>) {
    let talk = &mut exchange.talk;
    talk.order = OrderState::default();
    talk.forget_details();
    talk.shown = None;
    talk.phase = Phase::Idle;
    exchange.progressed = true;
}

/// The amount of an order that still waits for its payment, if there is one.
pub fn unpaid(exchange: &Exchange<'_>) -> Option<(String, Money)> {
    let orders = exchange.talk.orders.iter().rev();
    orders
        .filter(|order| order.is_unpaid && !order.stage.is_final())
        .map(|order| (order.id.clone(), order.total))
        .next()
}
