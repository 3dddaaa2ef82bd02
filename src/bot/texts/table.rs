//! The table of the bot's texts, a row each: its placeholders (`!`: the text cannot do without), Spanish, English. Customers are `usted`.

use serde::{Serialize, Serializer};

use super::Language;

pub struct TextRow {
    pub key: TextKey,
    pub placeholders: &'static [&'static str],
    es: &'static str,
    en: &'static str,
}

impl TextRow {
    pub fn text(&self, language: Language) -> &'static str {
        match language {
            Language::Es => self.es,
            Language::En => self.en,
        }
    }

    /// The names of its placeholders.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.placeholders.iter().map(|name| name.trim_end_matches('!'))
    }

    /// The names that the text cannot do without.
    pub fn required(&self) -> impl Iterator<Item = &'static str> {
        self.placeholders.iter().filter_map(|name| name.strip_suffix('!'))
    }
}

macro_rules! texts {
    ($($key:ident $name:literal [$($placeholder:literal),*] $es:literal $en:literal)*) => {
        /// A text of the bot; [`TextKey::name`] is its key in the settings.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum TextKey {
            $($key,)*
        }

        pub const TEXTS: &[TextRow] =
            &[$(TextRow { key: TextKey::$key, placeholders: &[$($placeholder),*], es: $es, en: $en },)*];

        #[cfg(test)]
        pub const ALL_KEYS: &[TextKey] = &[$(TextKey::$key,)*];

        impl TextKey {
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$key => $name,)*
                }
            }
        }
    };
}

impl TextKey {
    /// Notices of the kitchen's steps: an empty text sends none.
    pub fn may_be_empty(self) -> bool {
        self.name().starts_with("notice_")
    }
}

impl Serialize for TextKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

texts! {
    Welcome "welcome" ["greeting", "name", "restaurant"]
        "{greeting}, {name}. Le damos la bienvenida a {restaurant}. 👋\n\nCuénteme qué desea pedir, o escriba *menú* para ver la \
        carta."
        "{greeting}, {name}. Welcome to {restaurant}. 👋\n\nTell me what you would like to order, or write *menu* to see what we \
        have."
    Hello "hello" ["greeting", "name"]
        "{greeting}, {name}."
        "{greeting}, {name}."
    Help "help" ["restaurant"]
        "Puede pedir como le quede más fácil: *dos hamburguesas sencillas y una coca-cola*.\n\n• *menú*: la carta con precios\n• \
        *ver*: lo que lleva en su pedido\n• *eliminar 2*: quitar la línea 2\n• *listo*: terminar el pedido\n• *cancelar*: empezar \
        de cero\n• *estado*: cómo va su pedido\n• *hablar con alguien*: le responde una persona"
        "Order in your own words: *two burgers and a coke*.\n\n• *menu*: what we have, with prices\n• *view*: your order so \
        far\n• *remove 2*: take out line 2\n• *done*: finish the order\n• *cancel*: start over\n• *status*: how your order is \
        doing\n• *talk to someone*: a person answers"
    Resume "resume" ["items!"]
        "Tenía un pedido sin terminar:\n{items}\n\n¿Seguimos con él? Responda *sí* o *no*."
        "You had an order that was not finished:\n{items}\n\nShall we go on with it? Answer *yes* or *no*."
    SecondOrder "second_order" ["order!"]
        "Su pedido *#{order}* ya está confirmado: esto lo anoto como un pedido nuevo, aparte."
        "Your order *#{order}* is confirmed already: I note this as a new order of its own."
    ResumeDropped "resume_dropped" []
        "Listo, ese pedido quedó descartado. ¿Qué le gustaría pedir?"
        "Done, that order is gone. What would you like to order?"
    MenuHead "menu_head" ["restaurant"]
        "Esta es nuestra carta. Puede pedir por el nombre o por el número: por ejemplo, *2 del 4*."
        "This is our menu. Order by name or by number: for example, *2 of 4*."
    MenuCategories "menu_categories" ["categories!"]
        "Nuestra carta es larga. Tenemos:\n{categories}\n\nEscriba el nombre de una categoría y le muestro sus platos y precios."
        "Our menu is long. We have:\n{categories}\n\nWrite the name of a category to see its dishes and prices."
    MenuMore "menu_more" []
        "Hay más. Escriba el nombre de lo que busca y le digo si lo tenemos."
        "There is more. Write what you are looking for and I will tell you."
    MenuEmpty "menu_empty" []
        "En este momento no tengo la carta a la mano. Si quiere, escriba *hablar con alguien*."
        "I do not have the menu at hand right now. Write *talk to someone* for a person."
    Noted "noted" ["items!", "subtotal"]
        "Le anoté:\n{items}\nSubtotal: {subtotal}"
        "I have noted:\n{items}\nSubtotal: {subtotal}"
    AnythingElse "anything_else" []
        "¿Desea algo más? Si eso es todo, escriba *listo*."
        "Anything else? If that is all, write *done*."
    BasketEmpty "basket_empty" []
        "Todavía no tiene nada en su pedido. Cuénteme qué desea, o escriba *menú*."
        "There is nothing in your order yet. Tell me what you would like, or write *menu*."
    Unknown "unknown" ["wish!"]
        "No encuentro *{wish}* en nuestra carta."
        "I cannot find *{wish}* on our menu."
    UnknownSuggest "unknown_suggest" ["wish!", "suggestions!"]
        "No encuentro *{wish}* en nuestra carta. ¿Será {suggestions}?"
        "I cannot find *{wish}* on our menu. Did you mean {suggestions}?"
    SoldOut "sold_out" ["items!"]
        "Qué pena, en este momento no tenemos {items}."
        "Sorry, we are out of {items} right now."
    Ambiguous "ambiguous" ["qty", "options!"]
        "Tenemos varias opciones (va a llevar {qty}):\n{options}\n\n¿Cuál le anoto? Responda con el número o el nombre."
        "There are several ({qty} of them):\n{options}\n\nWhich one is it? Answer with the number or the name."
    HowMany "how_many" ["line!"]
        "¿Cuántas unidades de *{line}* le anoto? Escríbame el número, por favor."
        "How many of *{line}* shall I note? Please write the number."
    SoMany "so_many" ["qty!", "line!"]
        "¿Le anoto {qty} × *{line}*? Responda *sí*, o escríbame cuántas quiere."
        "Shall I note {qty} × *{line}*? Answer *yes*, or write how many you want."
    WishDropped "wish_dropped" []
        "Listo, eso no lo anoto."
        "All right, I leave that out."
    WhichNumber "which_number" ["number!", "line!", "items!"]
        "¿Quiere {number} de *{line}*, o el número {number} de la carta, *{items}*? Escríbame, por favor, *{number} {line}* o *1 \
        del {number}*."
        "Do you want {number} of *{line}*, or number {number} of the menu, *{items}*? Please write *{number} {line}* or *1 of \
        {number}*."
    NoNumber "no_number" ["number!"]
        "No tengo el número {number} en la carta."
        "There is no number {number} on the menu."
    NoLine "no_line" ["number!"]
        "Su pedido no tiene la línea {number}."
        "Your order has no line {number}."
    Emptied "emptied" []
        "Listo, dejé su pedido en blanco. Cuando quiera, empezamos de nuevo."
        "Done, your order is empty now. We can start again whenever you like."
    NothingToCancel "nothing_to_cancel" []
        "No tiene ningún pedido por cancelar."
        "You have no order to cancel."
    NoHistory "no_history" []
        "No encuentro un pedido anterior suyo por aquí. ¿Qué le gustaría pedir?"
        "I cannot find an earlier order of yours here. What would you like to order?"
    MinimumOrder "minimum_order" ["minimum!", "missing"]
        "El pedido mínimo a domicilio es de {minimum}; le faltan {missing}. ¿Qué más le anoto?"
        "The minimum order for delivery is {minimum}; {missing} are missing. What else would you like?"
    MinimumPickUp "minimum_pick_up" []
        "Si prefiere pasar por él, escriba *recoger*."
        "If you would rather fetch it, write *pick up*."
    AskDestination "ask_destination" ["delivery"]
        "¿Es a domicilio o pasa a recogerlo?\n1. Domicilio{delivery}\n2. Recoger en el restaurante"
        "Shall we deliver it, or do you pick it up?\n1. Delivery{delivery}\n2. Pick up at the restaurant"
    AskAddress "ask_address" []
        "¿A qué dirección se lo llevamos? Escríbala completa (por ejemplo, *Calle 10 # 20-30, apto 301*) o comparta su ubicación."
        "To which address? Write it in full (for example *Calle 10 # 20-30, apt 301*) or share your location."
    AskSameAddress "ask_same_address" ["address!"]
        "¿Se lo llevamos a *{address}*? Responda *sí*, o escriba otra dirección."
        "Shall we bring it to *{address}*? Answer *yes*, or write another address."
    AddressUnclear "address_unclear" []
        "Necesito la dirección completa, con número, para que el domiciliario llegue bien. También puede compartir su ubicación."
        "I need the full address, with its number, so that the courier finds you. You can also share your location."
    Waiting "waiting" []
        "Con mucho gusto, quedo pendiente."
        "Of course, I will wait."
    AskNote "ask_note" ["words!"]
        "¿Lo anoto como observación en su pedido: «{words}»? Responda *sí* o *no*."
        "Shall I add “{words}” to your order as a comment? Answer *yes* or *no*."
    TimeNoted "time_noted" ["words!"]
        "Lo anoto en su pedido para que la cocina lo vea: «{words}»."
        "I write it on your order, where the kitchen sees it: “{words}”."
    AskDrop "ask_drop" []
        "¿Cancelo este pedido? Responda *sí* para cancelarlo, o *no* para seguir con él."
        "Shall I cancel this order? Answer *yes* to cancel it, or *no* to go on with it."
    CancelStill "cancel_still" ["order!"]
        "La cocina todavía no ha empezado: si prefiere, escriba *cancelar pedido {order}*, y lo pedimos de nuevo como lo quiere."
        "The kitchen has not begun: if you prefer, write *cancel order {order}*, and order again as you want it."
    OnePayment "one_payment" []
        "Solo puedo anotar una forma de pago por pedido."
        "I can note one way to pay an order."
    PassedOn "passed_on" ["order!"]
        "Su pedido *#{order}* ya está confirmado, y no lo puedo cambiar por aquí. Ya le paso su mensaje al restaurante. Si \
        quiere hablar con una persona, escriba *hablar con alguien*."
        "Your order *#{order}* is confirmed, and I cannot change it here. I am passing your message on to the restaurant. Write \
        *talk to someone* for a person."
    NoDelivery "no_delivery" []
        "No hacemos domicilios: su pedido se recoge en el restaurante."
        "We do not deliver: orders are picked up at the restaurant."
    NoPickUp "no_pick_up" []
        "Solo entregamos a domicilio."
        "We only deliver."
    AskPhone "ask_phone" []
        "¿A qué número de celular le podemos llamar si hace falta?"
        "Which phone number can we call if need be?"
    AskSamePhone "ask_same_phone" ["phone!"]
        "¿Le podemos llamar a este mismo número, {phone}? Responda *sí*, o escriba otro."
        "Can we call you on this number, {phone}? Answer *yes*, or write another."
    PhoneUnclear "phone_unclear" []
        "Ese número no me sirve. Escríbalo, por favor, con todas sus cifras: por ejemplo, *300 123 4567*."
        "I cannot use that number. Please write all of its digits, for example *300 123 4567*."
    AskPayment "ask_payment" ["options!"]
        "¿Cómo desea pagar?\n{options}"
        "How would you like to pay?\n{options}"
    PaymentRefused "payment_refused" ["payment!"]
        "Qué pena, no recibimos {payment}."
        "Sorry, we do not take {payment}."
    Summary "summary" ["items!", "subtotal", "delivery", "total!", "destination", "phone", "payment", "comment", "time"]
        "*Resumen de su pedido*\n{items}\n\nSubtotal: {subtotal}\n{delivery}\n*Total: \
        {total}*\n\n{destination}\n{phone}\n{payment}\n{comment}\n{time}\n\n¿Lo confirmamos? Responda *sí*, *editar* o \
        *cancelar*."
        "*Your order*\n{items}\n\nSubtotal: {subtotal}\n{delivery}\n*Total: \
        {total}*\n\n{destination}\n{phone}\n{payment}\n{comment}\n{time}\n\nIs that right? Answer *yes*, *edit* or *cancel*."
    SummaryChanged "summary_changed" ["changes"]
        "Antes de confirmar: la carta cambió desde el resumen anterior. {changes}"
        "Before you confirm: the menu changed since the last summary. {changes}"
    ConfirmAgain "confirm_again" []
        "¿Confirmamos el pedido? Responda *sí*, *editar* o *cancelar*."
        "Shall we confirm the order? Answer *yes*, *edit* or *cancel*."
    EditHint "edit_hint" []
        "Claro. Dígame qué cambiamos: por ejemplo, *quite la coca-cola*, *que sean tres*, o escriba otra dirección o forma de \
        pago."
        "Of course. Tell me what to change: for example *remove the coke*, *make it three*, or write another address or way to \
        pay."
    Placed "placed" ["order!", "total", "time", "tracking", "name"]
        "¡Gracias, {name}! Su pedido *#{order}* quedó confirmado por {total}.\n{time}\n{tracking}"
        "Thank you, {name}! Your order *#{order}* is confirmed: {total}.\n{time}\n{tracking}"
    Prepay "prepay" ["payment", "total!", "order", "link"]
        "Para empezar a prepararlo, necesitamos recibir su pago de {total} por {payment}. Cuando lo haga, envíe por aquí el \
        comprobante.\n{link}"
        "Before we start, we need your payment of {total} by {payment}. Please send the receipt here.\n{link}"
    ReceiptSeen "receipt_seen" ["order"]
        "Gracias, ya le aviso al restaurante para que revise su comprobante."
        "Thank you, I am telling the restaurant to check your receipt."
    StatusLine "status_line" ["order!", "stage!"]
        "Pedido *#{order}*: {stage}."
        "Order *#{order}*: {stage}."
    LastOrder "last_order" ["order!", "items!", "stage!", "total"]
        "Su pedido *#{order}*: {stage}.\n{items}\nTotal: {total}"
        "Your order *#{order}*: {stage}.\n{items}\nTotal: {total}"
    NoOrders "no_orders" []
        "No veo ningún pedido suyo en curso. ¿Desea pedir algo?"
        "I see no order of yours under way. Would you like to order something?"
    NotPlaced "not_placed" []
        "Su pedido todavía no está confirmado."
        "Your order is not confirmed yet."
    CancelAsk "cancel_ask" ["order!", "total"]
        "¿Cancelo su pedido *#{order}* por {total}? Responda *sí* o *no*."
        "Shall I cancel your order *#{order}* ({total})? Answer *yes* or *no*."
    CancelWhich "cancel_which" ["options!"]
        "¿Cuál de sus pedidos cancelo?\n{options}\n\nResponda con el número."
        "Which of your orders shall I cancel?\n{options}\n\nAnswer with its number."
    OrderCancelled "order_cancelled" ["order!"]
        "Listo, cancelé su pedido *#{order}*."
        "Done, your order *#{order}* is cancelled."
    OrderKept "order_kept" ["order"]
        "Perfecto, su pedido *#{order}* sigue en pie."
        "Fine, your order *#{order}* stands."
    CancelLate "cancel_late" ["order!"]
        "Qué pena: el pedido *#{order}* ya está en la cocina y no alcanzo a cancelarlo. Si quiere hablar con una persona, escriba \
        *hablar con alguien*."
        "Sorry: order *#{order}* is in the kitchen already and cannot be cancelled here. Write *talk to someone* for a person."
    OrderStands "order_stands" ["order!"]
        "Su pedido *#{order}* ya está confirmado y sigue su curso. Para cancelarlo, escriba *cancelar pedido {order}*."
        "Your order *#{order}* is confirmed and goes its way. To cancel it, write *cancel order {order}*."
    NoticePaid "notice_paid" ["order", "name"]
        "Recibimos su pago del pedido *#{order}*. ¡Gracias!"
        "We received your payment for order *#{order}*. Thank you!"
    NoticeCooking "notice_cooking" ["order", "name"]
        "Su pedido *#{order}* ya está en la cocina. 👩‍🍳"
        "Your order *#{order}* is being prepared. 👩‍🍳"
    NoticeReady "notice_ready" ["order", "name"]
        "Su pedido *#{order}* está listo y va para su dirección. 🛵"
        "Your order *#{order}* is ready and on its way. 🛵"
    NoticeReadyPickUp "notice_ready_pick_up" ["order", "name"]
        "Su pedido *#{order}* está listo: ya puede pasar por él."
        "Your order *#{order}* is ready to be picked up."
    NoticeDelivered "notice_delivered" ["order", "name"]
        "Su pedido *#{order}* fue entregado. ¡Buen provecho!"
        "Your order *#{order}* was delivered. Enjoy!"
    NoticeCancelled "notice_cancelled" ["order", "name"]
        "Su pedido *#{order}* fue cancelado por el restaurante. Si tiene dudas, escriba *hablar con alguien*."
        "The restaurant cancelled your order *#{order}*. Write *talk to someone* if you have questions."
    Bot "bot" ["restaurant"]
        "Soy el asistente automático de {restaurant}: tomo su pedido por aquí. Si prefiere a una persona, escriba *hablar con \
        alguien*."
        "I am the automatic assistant of {restaurant}, and take your order here. If you prefer a person, write *talk to someone*."
    Human "human" ["name"]
        "Ya le aviso a una persona del restaurante para que le responda por aquí."
        "I am telling a person of the restaurant, who will answer you here."
    HumanUpset "human_upset" ["name"]
        "Lamento la molestia. Ya le aviso a una persona del restaurante para que le responda por aquí."
        "I am sorry. I am telling a person of the restaurant, who will answer you here."
    HumanInstead "human_instead" ["name"]
        "Disculpe, no le estoy entendiendo bien. Ya le aviso a una persona del restaurante para que le responda por aquí."
        "Sorry, I do not understand you well. I am telling a person of the restaurant, who will answer you here."
    OpenNow "open_now" ["open", "close"]
        "Hoy atendemos de {open} a {close}."
        "Today we are open from {open} to {close}."
    OpenAlways "open_always" []
        "En este momento estamos atendiendo. No tengo a la mano la hora de cierre."
        "We are open right now. I do not have the closing time at hand."
    ClosedNow "closed_now" ["opening"]
        "En este momento estamos cerrados. Abrimos {opening}."
        "We are closed right now. We open {opening}."
    ClosedLong "closed_long" []
        "En este momento estamos cerrados."
        "We are closed right now."
    Off "off" ["restaurant"]
        "En este momento no estamos recibiendo pedidos por aquí. Gracias por escribirnos."
        "We are not taking orders here right now. Thank you for writing."
    Suspended "suspended" ["restaurant"]
        "En este momento no estamos recibiendo pedidos por aquí. Gracias por escribirnos."
        "We are not taking orders here right now. Thank you for writing."
    Media "media" []
        "Por ahora solo puedo leer mensajes escritos. ¿Me lo escribe, por favor?"
        "I can only read written messages for now. Could you write it, please?"
    Cart "cart" []
        "Me llegó su pedido del catálogo, pero por aquí no puedo ver qué platos tiene. ¿Me los escribe, por favor? Con *menú* le \
        muestro la carta."
        "I have got your cart, but I cannot see its dishes here. Could you write them, please? *menu* shows you what there is."
    Thanks "thanks" ["name"]
        "Con mucho gusto."
        "You are welcome."
    NotUnderstood "not_understood" []
        "Disculpe, no le entendí. Puede escribirme qué desea pedir, *menú* para ver la carta, o *ayuda*."
        "Sorry, I did not understand. Tell me what you would like to order, or write *menu* or *help*."
    TooLong "too_long" ["words!"]
        "Su mensaje es muy largo: alcancé a leer hasta «{words}». Por favor, escríbame el resto aparte."
        "Your message is very long: I read up to “{words}”. Please send the rest separately."
    TooMuch "too_much" []
        "Ese pedido es muy grande para tomarlo por aquí. Ya le aviso a una persona del restaurante."
        "That order is too large to be taken here. I am telling a person of the restaurant."
    Corrected "corrected" []
        "Vi que cambió su mensaje; así queda su pedido."
        "I saw that you changed your message; this is your order now."
    EditLate "edit_late" ["order!"]
        "Ese mensaje ya es parte de su pedido *#{order}*, que está confirmado. Para cambiarlo, escriba *hablar con alguien*."
        "That message is part of your order *#{order}*, which is confirmed. To change it, write *talk to someone*."
    EditLost "edit_lost" []
        "Vi que cambió un mensaje anterior. Escríbame, por favor, qué cambio le hago al pedido."
        "I saw that you changed an earlier message. Please write what I should change in the order."
    DeliveryInfo "delivery_info" ["delivery!", "free_from", "minimum", "time"]
        "Sí, llevamos a domicilio. {delivery} {free_from} {minimum} {time}"
        "Yes, we deliver. {delivery} {free_from} {minimum} {time}"
    PaymentInfo "payment_info" ["options!"]
        "Recibimos: {options}."
        "We take: {options}."
    Place "place" ["address!"]
        "Estamos en {address}."
        "We are at {address}."
    PlaceUnknown "place_unknown" []
        "No tengo nuestra dirección a la mano. Si quiere, escriba *hablar con alguien*."
        "I do not have our address at hand. Write *talk to someone* for a person."
    NotOnMenu "not_on_menu" []
        "Eso no lo encuentro en nuestra carta. Escriba *menú* para ver lo que tenemos."
        "I cannot find that on our menu. Write *menu* to see what we have."
    Form "form" ["greeting", "name", "restaurant"]
        "{greeting}, {name}. Para tomar su pedido, copie este formulario, llénelo y envíelo:"
        "{greeting}, {name}. To take your order, please copy this form, fill it in and send it:"
    FormLines "form_lines" []
        "Nombre:\nDirección:\nTeléfono:\nPedido:\nPago:\nObservaciones:"
        "Name:\nAddress:\nPhone:\nOrder:\nPayment:\nComments:"
}
