//! Whole numbers as WAHA's clients write them in JSON: its document says `number`, so that clients which were made from it, such as
//! waha-py's models, write `86400.0`.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error},
};
use serde_json::Value;

/// Reads a field.
pub fn whole<'de, T: DeserializeOwned, D: Deserializer<'de>>(field: D) -> Result<Option<T>, D::Error> {
    let mut value = Value::deserialize(field)?;
    make_whole(&mut value);
    Option::<T>::deserialize(value).map_err(D::Error::custom)
}

/// Writes a whole number as one. All else stays as it is.
pub fn make_whole(value: &mut Value) {
    /// Up to here each whole number has a float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let Some(number) = value.as_f64().filter(|_| value.is_f64()) else { return };
    if number.fract() == 0.0 && number.abs() <= EXACT {
        *value = Value::from(number as i64);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Deserialize)]
    struct NumberPage {
        #[serde(default, deserialize_with = "whole")]
        limit: Option<u32>,
    }

    #[test]
    fn whole_numbers_in_either_form() {
        let read = |body: Value| serde_json::from_value::<NumberPage>(body).ok().map(|page| page.limit);
        for limit in [json!(20), json!(20.0)] {
            assert_eq!(read(json!({ "limit": limit })), Some(Some(20)), "{limit}");
        }
        for body in [json!({}), json!({ "limit": null })] {
            assert_eq!(read(body.clone()), Some(None), "{body}");
        }
        for limit in [json!(20.5), json!(-1), json!(-1.0), json!(1e300), json!("20"), json!(true), json!([20])] {
            assert_eq!(read(json!({ "limit": limit })), None, "{limit}");
        }
    }
}
