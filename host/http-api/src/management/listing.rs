//! What a list may be asked for: pages, names, an order, columns (RabbitMQ's parameters).

use std::cmp::Ordering;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shunt_auth::NamePattern;

use crate::error::ApiError;
use crate::json::JsonMap;
use crate::limits::{PAGE_SIZE, PAGE_SIZE_MAX};

/// What of a list is wanted, and in which order.
#[derive(Debug, Default, PartialEq, Deserialize, utoipa::IntoParams)]
pub(super) struct ListQuery {
    /// Answers one page as an object with `items` and counts; the first is 1.
    #[param(minimum = 1)]
    page: Option<usize>,
    /// How many items a page has.
    #[param(minimum = 1, maximum = 500, default = 100)]
    page_size: Option<usize>,
    /// Only items whose name has this in it, in upper or lower case.
    name: Option<String>,
    /// `true`: `name` is a regular expression.
    use_regex: Option<String>,
    /// The field to sort by; a dot leads into an object, as in `message_stats.publish`.
    sort: Option<String>,
    /// `true`: the last comes first.
    sort_reverse: Option<String>,
    /// Only these fields of each item, with commas; a dot leads into an object.
    columns: Option<String>,
}

/// A page of a list.
#[derive(Serialize)]
struct Page {
    total_count: usize,
    filtered_count: usize,
    item_count: usize,
    page: usize,
    page_size: usize,
    page_count: usize,
    items: Vec<Value>,
}

impl ListQuery {
    /// The answer to a request for `items`.
    ///
    /// # Errors
    /// 400 where a parameter is wrong, or there is no such page.
    pub(super) fn answer<T: Serialize>(self, items: Vec<T>) -> Result<Response, ApiError> {
        // Most ask for all as it is.
        if self == Self::default() {
            return Ok(Json(items).into_response());
        }
        let items = items.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>();
        let items = items.map_err(|error| {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            ApiError::new(status, "internal_error", error.to_string())
        })?;
        let total_count = items.len();
        let items = self.sorted(self.filtered(items)?);
        let Some(page) = self.page else { return Ok(Json(self.picked(items)).into_response()) };
        let page_size = self.page_size.unwrap_or(PAGE_SIZE);
        if page == 0 || !(1..=PAGE_SIZE_MAX).contains(&page_size) {
            return Err(ApiError::bad_request(format!(
                "page={page} and page_size={page_size}: pages begin with 1 and have 1 to \
                 {PAGE_SIZE_MAX} items"
            )));
        }
        let filtered_count = items.len();
        let start = (page - 1).saturating_mul(page_size);
        if start > filtered_count {
            let reason = format!(
                "page={page} with page_size={page_size}: the list has {filtered_count} items"
            );
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "page_out_of_range", reason));
        }
        let items: Vec<_> = items.into_iter().skip(start).take(page_size).collect();
        let page = Page {
            total_count,
            filtered_count,
            item_count: items.len(),
            page,
            page_size,
            page_count: filtered_count.div_ceil(page_size),
            items: self.picked(items),
        };
        Ok(Json(page).into_response())
    }

    fn filtered(&self, mut items: Vec<Value>) -> Result<Vec<Value>, ApiError> {
        let Some(wanted) = self.name.as_deref().filter(|name| !name.is_empty()) else {
            return Ok(items);
        };
        let name = |item: &Value| item["name"].as_str().map(str::to_lowercase);
        if is_true(&self.use_regex) {
            let pattern = NamePattern::new(&format!("(?i){wanted}")).map_err(|error| {
                let reason = error.reason;
                ApiError::bad_request(format!("name='{wanted}' is no regular expression: {reason}"))
            })?;
            items.retain(|item| item["name"].as_str().is_none_or(|name| pattern.matches(name)));
        } else {
            let wanted = wanted.to_lowercase();
            items.retain(|item| name(item).is_none_or(|name| name.contains(&wanted)));
        }
        Ok(items)
    }

    fn sorted(&self, mut items: Vec<Value>) -> Vec<Value> {
        if let Some(field) = self.sort.as_deref().filter(|field| !field.is_empty()) {
            items.sort_by(|a, b| compare(at(a, field), at(b, field)));
        }
        if is_true(&self.sort_reverse) {
            items.reverse();
        }
        items
    }

    fn picked(&self, items: Vec<Value>) -> Vec<Value> {
        let Some(columns) = self.columns.as_deref() else { return items };
        let columns: Vec<_> = columns.split(',').filter(|column| !column.is_empty()).collect();
        items.into_iter().map(|item| pick(item, &columns)).collect()
    }
}

fn is_true(flag: &Option<String>) -> bool {
    flag.as_deref() == Some("true")
}

/// The value that a dotted path leads to.
fn at<'a>(item: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(item, |value, field| &value[field])
}

/// Erlang's order of terms, in which RabbitMQ sorts: numbers, booleans, lists and objects, text;
/// what isn't there counts as 0.
fn compare(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null | Value::Number(_) => 0,
        Value::Bool(_) => 1,
        Value::Array(_) | Value::Object(_) => 2,
        Value::String(_) => 3,
    };
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)).then_with(|| {
            let number = |value: &Value| value.as_f64().unwrap_or_default();
            number(a).total_cmp(&number(b))
        }),
    }
}

/// The fields that are wanted, of the object and of those in it.
fn pick(item: Value, columns: &[&str]) -> Value {
    let Value::Object(fields) = item else { return item };
    let picked = fields.into_iter().filter_map(|(name, value)| {
        if columns.contains(&&*name) {
            return Some((name, value));
        }
        let inner: Vec<_> = columns
            .iter()
            .filter_map(|column| column.strip_prefix(&*name)?.strip_prefix('.'))
            .collect();
        (!inner.is_empty()).then(|| (name, pick(value, &inner)))
    });
    Value::Object(picked.collect::<JsonMap>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn terms_are_sorted_as_in_erlang() {
        let sorted = [json!(null), json!(1), json!(2.5), json!(false), json!([9]), json!("a")];
        for pair in sorted.windows(2) {
            assert_eq!(compare(&pair[0], &pair[1]), Ordering::Less, "{pair:?}");
        }
    }

    #[test]
    fn columns_lead_into_objects() {
        let item = json!({"a": 1, "b": {"c": 2, "d": 3}, "bc": 4});
        assert_eq!(pick(item.clone(), &["a", "b.c"]), json!({"a": 1, "b": {"c": 2}}));
        assert_eq!(pick(item, &["b"]), json!({"b": {"c": 2, "d": 3}}));
    }
}
