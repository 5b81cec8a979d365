//! Runs the `cases.json` of an example route natively: what the data says of the built module
//! holds for the source too. The format stands in `examples/routes/README.md`.

use serde_json::Value as Json;
use shunt_route::testing::{Data, Declared, Destination, Header};
use shunt_route::{Description, Fields};

/// Fails with the name of the first case in which the route `R` does something else.
///
/// # Panics
///
/// Where a case does not hold, or where `cases` is not in the format.
#[track_caller]
pub fn check_cases<R: Description>(cases: &str) {
    let cases: Json = serde_json::from_str(cases).expect("cases.json is JSON");
    for refused in items(&cases["refused_exchanges"]) {
        let declared = Declared::<R>::new(pairs(&refused["arguments"]));
        check_reason(refused, declared.map(drop));
    }
    let mut declared = declare::<R>(&cases);
    for refused in items(&cases["refused_bindings"]) {
        check_reason(refused, bind(&mut declared, &refused["binding"]));
    }
    for case in items(&cases["cases"]) {
        check_case(case, &mut declared);
    }
}

/// Fails where `route.toml` says something else than the route says about itself.
///
/// # Panics
///
/// Where it does.
#[track_caller]
pub fn check_description<R: Description>(route_toml: &str) {
    let reads = <R::Header<'_> as Fields<'_>>::READS;
    for line in [
        format!("name = {:?}", R::NAME),
        format!("version = {:?}", R::VERSION),
        format!("reads = {reads:?}"),
        format!("wants = {:?}", R::WANTS),
    ] {
        let found = route_toml.lines().any(|other| other == line);
        assert!(found, "route.toml does not say: {line}");
    }
}

fn declare<R: Description>(cases: &Json) -> Declared<R> {
    let mut declared = Declared::new(pairs(&cases["exchange"])).expect("the exchange is declared");
    for binding in items(&cases["bindings"]) {
        bind(&mut declared, binding).expect("the binding is stored");
    }
    declared
}

fn bind<R: Description>(declared: &mut Declared<R>, binding: &Json) -> Result<(), String> {
    let (name, key, arguments) = (text(&binding[1]), text(&binding[2]), pairs(&binding[3]));
    match text(&binding[0]) {
        "queue" => declared.bind_queue(name, key, arguments),
        _ => declared.bind_exchange(name, key, arguments),
    }
}

fn check_case<R: Description>(case: &Json, declared: &mut Declared<R>) {
    let answer = declared.route(&header(&case["header"]));
    if case["failure"].is_object() {
        return check_reason(case, answer.map(drop));
    }
    let names = answer.map(|destinations| {
        let mut names: Vec<String> = destinations.into_iter().map(name).collect();
        names.sort();
        names
    });
    let mut expected: Vec<String> = items(&case["queues"]).map(|q| text(q).into()).collect();
    expected.sort();
    assert_eq!(names, Ok(expected), "case {}", case["name"]);
}

/// A reason has to contain what the case, or its failure, says of it.
fn check_reason(case: &Json, outcome: Result<(), String>) {
    let name = &case["name"];
    let expected = match &case["failure"]["reason_contains"] {
        Json::Null => text(&case["reason_contains"]),
        part => text(part),
    };
    match outcome {
        Ok(()) => panic!("case {name}: not refused"),
        Err(reason) => assert!(reason.contains(expected), "case {name}: {reason}"),
    }
}

fn header(json: &Json) -> Header {
    let mut header = Header::new();
    for field in ["exchange", "routing_key", "user", "vhost", "body_size"] {
        if let Some(value) = json.get(field) {
            header = header.field(field, data(value));
        }
    }
    for (name, value) in pairs(&json["properties"]) {
        header = match value {
            Data::Integer(seconds) if name == "timestamp" => {
                header.field(name, Data::Timestamp(seconds))
            }
            value => header.field(name, value),
        };
    }
    for (name, value) in pairs(&json["headers"]) {
        header = header.header(name, value);
    }
    header
}

fn name(destination: Destination) -> String {
    match destination {
        Destination::Queue(name) | Destination::Exchange(name) => name,
    }
}

fn items(json: &Json) -> impl Iterator<Item = &Json> {
    json.as_array().into_iter().flatten()
}

fn pairs(json: &Json) -> impl Iterator<Item = (&str, Data)> {
    let pairs = json.as_object().into_iter().flatten();
    pairs.map(|(name, value)| (name.as_str(), data(value)))
}

fn text(json: &Json) -> &str {
    json.as_str().expect("a string")
}

fn data(json: &Json) -> Data {
    match json {
        Json::Null => Data::Absent,
        Json::Bool(value) => Data::Boolean(*value),
        Json::Number(number) => number
            .as_i64()
            .map_or_else(|| Data::Double(number.as_f64().expect("a double")), Data::Integer),
        Json::String(text) => Data::Text(text.clone()),
        Json::Array(values) => Data::Array(values.iter().map(data).collect()),
        Json::Object(_) => Data::Table(pairs(json).map(|(n, v)| (n.into(), v)).collect()),
    }
}
