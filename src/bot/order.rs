//! An order as it was confirmed: lines with the names and prices of that moment, where it goes, how it is paid, how far it is.
//! Owns the shape and the steps between stages; never changes a price of an order that was placed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{money::Money, payment::PaymentMethod};

/// The stage of an order, in the words of the kitchen's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderStage {
    Pendiente,
    Cocinando,
    Listo,
    Entregado,
    Cancelado,
}

impl OrderStage {
    /// The kitchen may set an order from this stage to another. Setting the stage that it has is no step.
    pub fn may_become(self, next: Self) -> bool {
        use OrderStage::{Cancelado, Cocinando, Entregado, Listo, Pendiente};
        match self {
            Pendiente => matches!(next, Cocinando | Listo | Entregado | Cancelado),
            Cocinando => matches!(next, Listo | Entregado | Cancelado),
            Listo => matches!(next, Entregado | Cancelado),
            Entregado | Cancelado => false,
        }
    }

    /// A customer may cancel until the kitchen starts.
    pub fn is_cancellable_by_customer(self) -> bool {
        self == Self::Pendiente
    }

    pub fn is_final(self) -> bool {
        matches!(self, Self::Entregado | Self::Cancelado)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PaymentStatus {
    /// It is to be paid before it is cooked.
    Pending,
    /// It is paid at the door.
    Cash,
    Paid,
}

/// The place that an order goes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Destination {
    /// `address` in the customer's words, or the name of a shared place; coordinates where a location was shared.
    Delivery {
        address: String,
        location: Option<(f64, f64)>,
    },
    PickUp,
}

/// A line with the name and the price of the moment at which it was confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    pub item: String,
    pub name: String,
    /// The price of one.
    pub price: Money,
    pub qty: u32,
    #[serde(default)]
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Six hexadecimal digits; unique within the tenant's open orders.
    pub id: String,
    /// The customer's name as WhatsApp shows it.
    pub customer: String,
    /// The customer's chat: a jid, never shown as a number.
    pub chat: String,
    /// Digits, of the customer's WhatsApp, where it is known.
    pub phone: Option<String>,
    /// The phone that the customer gave for this order.
    pub contact_phone: Option<String>,
    pub destination: Destination,
    pub comment: String,
    pub lines: Vec<OrderLine>,
    pub subtotal: Money,
    pub delivery_cost: Money,
    pub total: Money,
    pub stage: OrderStage,
    pub payment_method: Option<PaymentMethod>,
    pub payment_status: PaymentStatus,
    /// Twelve hexadecimal digits.
    pub tracking_token: String,
    pub placed_at: Timestamp,
    /// When each later stage was reached, in order.
    #[serde(default)]
    pub history: Vec<(OrderStage, Timestamp)>,
}
