//! Pages of lists, as WAHA's clients ask for them.

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum ListOrder {
    #[default]
    Asc,
    Desc,
}

/// Part of a list that grows.
pub fn cut<T>(mut list: Vec<T>, order: Option<ListOrder>, limit: Option<usize>, offset: Option<usize>) -> Vec<T> {
    if order == Some(ListOrder::Desc) {
        list.reverse();
    }
    list.into_iter().skip(offset.unwrap_or(0)).take(limit.unwrap_or(usize::MAX)).collect()
}
