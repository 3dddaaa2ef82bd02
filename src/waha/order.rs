//! An order of the bot's in the words of the kitchen's pages that exist: the old service's shape, its names and its types. It is what
//! webhooks, Socket.IO and the API show of an order.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::id::chat_id;
use crate::bot::{
    order::{Destination, Order, OrderLine, OrderStage, PaymentStatus},
    payment::PaymentMethod,
};

/// An order as the kitchen's pages read it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KitchenOrder {
    /// Six hexadecimal digits.
    #[schemars(example = &"a1b2c3")]
    id: String,
    tenant_id: String,
    cliente: String,
    /// Digits; empty where WhatsApp does not tell the number.
    telefono: String,
    /// Where the customer can be written to, with a number or without.
    chat_id: String,
    /// The phone that the customer gave for this order.
    telefono_contacto: String,
    /// In the customer's words; of one that is fetched `Recoge en el restaurante`.
    direccion: String,
    /// `domicilio` or `recoger`.
    entrega: &'static str,
    /// Where the customer shared a location.
    #[serde(skip_serializing_if = "Option::is_none")]
    ubicacion: Option<KitchenLocation>,
    comentario: String,
    items: Vec<KitchenLine>,
    subtotal: u64,
    costo_envio: u64,
    total: u64,
    /// `pendiente`, `cocinando`, `listo`, `entregado` or `cancelado`.
    #[schemars(with = "String", example = &"pendiente")]
    estado: OrderStage,
    /// When it was placed, milliseconds since 1970.
    timestamp: i64,
    /// The same, in words.
    fecha: Timestamp,
    /// When each later stage was reached.
    historial: Vec<KitchenStep>,
    fuente: &'static str,
    restaurante: String,
    /// `PENDING`: to be paid before it is cooked; `CASH`: at the door; `PAID`.
    #[schemars(with = "String", example = &"CASH")]
    payment_status: PaymentStatus,
    #[schemars(with = "Option<String>", example = &"efectivo")]
    metodo_pago: Option<PaymentMethod>,
    tracking_token: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
struct KitchenLocation {
    lat: f64,
    lng: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
struct KitchenLine {
    /// The item's id in the menu.
    numero: String,
    nombre: String,
    /// Of one, in the smallest unit that prices are written in.
    precio: u64,
    cantidad: u32,
    notas: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
struct KitchenStep {
    #[schemars(with = "String")]
    estado: OrderStage,
    /// Milliseconds since 1970.
    timestamp: i64,
}

impl KitchenOrder {
    pub fn new(tenant: &str, restaurant: &str, order: &Order) -> Self {
        let (direccion, entrega, location) = match &order.destination {
            Destination::Delivery { address, location } => (address.clone(), "domicilio", *location),
            Destination::PickUp => ("Recoge en el restaurante".to_owned(), "recoger", None),
        };
        let line = |line: &OrderLine| KitchenLine {
            numero: line.item.clone(),
            nombre: line.name.clone(),
            precio: line.price.amount(),
            cantidad: line.qty,
            notas: line.notes.clone(),
        };
        let steps = order.history.iter();
        Self {
            id: order.id.clone(),
            tenant_id: tenant.to_owned(),
            cliente: order.customer.clone(),
            telefono: order.phone.clone().unwrap_or_default(),
            chat_id: chat_id(&order.chat),
            telefono_contacto: order.contact_phone.clone().unwrap_or_default(),
            direccion,
            entrega,
            ubicacion: location.map(|(lat, lng)| KitchenLocation { lat, lng }),
            comentario: order.comment.clone(),
            items: order.lines.iter().map(line).collect(),
            subtotal: order.subtotal.amount(),
            costo_envio: order.delivery_cost.amount(),
            total: order.total.amount(),
            estado: order.stage,
            timestamp: order.placed_at.as_millisecond(),
            fecha: order.placed_at,
            historial: steps
                .map(|(estado, at)| KitchenStep { estado: *estado, timestamp: at.as_millisecond() })
                .collect(),
            fuente: "whatsapp",
            restaurante: restaurant.to_owned(),
            payment_status: order.payment_status,
            metodo_pago: order.payment_method,
            tracking_token: order.tracking_token.clone(),
        }
    }
}
