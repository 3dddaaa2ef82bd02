//! Pages of lists, as WAHA's clients ask for them.

use serde::{Deserialize, Deserializer};

use super::{super::problem::Problem, flaw};

/// Which part of a list. Texts, since that is what a query has when its fields are taken together.
#[derive(Debug, Default, Deserialize)]
pub struct Page {
    #[serde(default, deserialize_with = "text")]
    limit: Option<String>,
    #[serde(default, deserialize_with = "text")]
    offset: Option<String>,
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

impl Page {
    /// That part of a list.
    pub fn cut<T>(&self, list: Vec<T>) -> Result<Vec<T>, Problem> {
        let number = |field, text: &Option<String>| match text {
            Some(text) => text.parse::<usize>().map(Some).map_err(|_| flaw(field, "expected a number from 0 up")),
            None => Ok(None),
        };
        let (limit, offset) = (number("limit", &self.limit)?, number("offset", &self.offset)?);
        Ok(list.into_iter().skip(offset.unwrap_or(0)).take(limit.unwrap_or(usize::MAX)).collect())
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    #[default]
    Asc,
    Desc,
}

impl Order {
    /// Of a list that grows.
    pub fn apply<T>(self, list: &mut [T]) {
        if self == Self::Desc {
            list.reverse();
        }
    }
}
