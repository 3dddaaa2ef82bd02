//! One customer who was talked with under two names: two records become one. Owns what of the earlier one lives on.

use super::{
    ConversationState, exchange,
    state::{Silence, is_keepable},
};

impl ConversationState {
    /// The conversation that was talked in last goes on; the longer silence, every order and an unfinished basket of the other one stay.
    #[must_use]
    pub fn joined_with(mut self, earlier: Self) -> Self {
        let baskets = [earlier.kept, Some(earlier.order), self.kept.take()].into_iter().flatten();
        let baskets = baskets.filter(|basket| !basket.lines.is_empty() || !basket.ambiguous.is_empty());
        self.kept = baskets.reduce(|kept, basket| {
            // Beyond all measure, the newer one counts.
            Some(exchange::joined(kept, basket.clone())).filter(is_keepable).unwrap_or(basket)
        });
        let until = |silence: &Silence| silence.until;
        self.silence = self.silence.into_iter().chain(earlier.silence).max_by_key(until);
        for order in earlier.orders {
            if !self.orders.iter().any(|known| known.id == order.id) {
                self.orders.push(order);
            }
        }
        self.orders.sort_by_key(|order| order.placed_at);
        self.history.splice(0..0, earlier.history);
        self.last_destination = self.last_destination.or(earlier.last_destination);
        self.name = self.name.or(earlier.name);
        self.trim();
        self
    }
}
