//! Rules of policies.

use super::*;
use shunt_types::Value;

fn table(settings: &[(&str, Value)]) -> Arc<FieldTable> {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    Arc::new(settings.collect())
}

fn definition(name: &str, pattern: &str, settings: &[(&str, Value)]) -> PolicyDefinition {
    PolicyDefinition {
        name: name.into(),
        pattern: pattern.into(),
        apply_to: ApplyTo::All,
        priority: 0,
        settings: table(settings),
    }
}

fn put(
    policies: &mut Policies,
    kind: PolicyKind,
    definition: PolicyDefinition,
    change: impl FnOnce(&mut PolicyDefinition),
) {
    let mut definition = definition;
    change(&mut definition);
    policies.put(kind, Policy::new(kind, definition).unwrap());
}

fn user_policy_of_queue(policies: &Policies, queue: &str) -> Option<String> {
    Some(policies.of_queue(queue).user?.definition().name.to_string())
}

#[test]
fn the_highest_priority_whose_pattern_is_in_the_name_is_in_force() {
    let mut policies = Policies::default();
    let limit = [("max-length", Value::I32(1))];
    for (name, pattern, priority) in
        [("any", "", 0), ("orders", "orders", 1), ("anchored", "^orders$", 2)]
    {
        let definition = definition(name, pattern, &limit);
        put(&mut policies, PolicyKind::User, definition, |new| new.priority = priority);
    }
    let found = |queue| user_policy_of_queue(&policies, queue).unwrap();
    assert_eq!(found("orders"), "anchored");
    assert_eq!(found("my.orders.eu"), "orders");
    assert_eq!(found("x"), "any");
    assert_eq!(policies.of_exchange("orders").user.unwrap().definition().priority, 2);
    policies.remove(PolicyKind::User, "anchored").unwrap();
    assert_eq!(user_policy_of_queue(&policies, "orders").unwrap(), "orders");
}

#[test]
fn a_policy_is_about_what_it_says_it_is() {
    for (apply_to, queue, exchange) in [
        (ApplyTo::All, true, true),
        (ApplyTo::Queues, true, false),
        (ApplyTo::ClassicQueues, true, false),
        (ApplyTo::QuorumQueues, false, false),
        (ApplyTo::Streams, false, false),
        (ApplyTo::Exchanges, false, true),
    ] {
        assert_eq!(ApplyTo::parse(apply_to.name()), Ok(apply_to));
        let mut policies = Policies::default();
        let definition = definition("p", "", &[("max-length", Value::I32(1))]);
        put(&mut policies, PolicyKind::User, definition, |new| new.apply_to = apply_to);
        assert_eq!(policies.of_queue("x").user.is_some(), queue, "{apply_to:?}");
        assert_eq!(policies.of_exchange("x").user.is_some(), exchange, "{apply_to:?}");
    }
    assert!(ApplyTo::parse("bogus").unwrap_err().starts_with("apply-to 'bogus' unrecognised"));
}

#[test]
fn one_key_of_another_queue_type_keeps_a_policy_from_classic_queues() {
    let mut policies = Policies::default();
    let settings = [("max-length", Value::I32(1)), ("delivery-limit", Value::I32(3))];
    put(&mut policies, PolicyKind::User, definition("p", "", &settings), |_| {});
    assert!(policies.of_queue("q").user.is_none());
    assert!(policies.of_exchange("x").user.is_some());
}

#[test]
fn the_stricter_of_user_and_operator_holds() {
    let user = [
        ("message-ttl", Value::I32(50)),
        ("max-length", Value::I32(10)),
        ("overflow", "drop-head".into()),
        ("dead-letter-exchange", "dlx".into()),
        ("delivery-limit", Value::I32(-1)),
        ("target-group-size", Value::I32(3)),
    ];
    let operator = [
        ("message-ttl", Value::I32(70)),
        ("max-length", Value::I64(5)),
        ("overflow", "reject-publish".into()),
        ("expires", Value::I32(9)),
        ("delivery-limit", Value::I32(20)),
        ("target-group-size", Value::I32(5)),
    ];
    let merged = merge::merged(table(&user), &table(&operator));
    let expected = [
        ("message-ttl", Value::I32(50)),
        ("max-length", Value::I64(5)),
        ("overflow", "reject-publish".into()),
        ("dead-letter-exchange", "dlx".into()),
        ("delivery-limit", Value::I32(20)),
        ("target-group-size", Value::I32(5)),
        ("expires", Value::I32(9)),
    ];
    assert!(merged.is_equivalent(&table(&expected)), "{merged:?}");
}

#[test]
fn what_is_wrong_with_a_policy_is_said_in_rabbitmqs_words() {
    let refused = |kind, pattern, settings: &[(&str, Value)]| {
        Policy::new(kind, definition("p", pattern, settings)).unwrap_err()
    };
    let user = |settings: &[(&str, Value)]| refused(PolicyKind::User, "", settings);
    assert_eq!(user(&[]), "no policy provided");
    assert_eq!(user(&[("foo", Value::I32(1))]), "[foo] are not recognised policy settings");
    assert_eq!(
        user(&[("max-priority", Value::I32(1))]),
        "[max-priority] are not recognised policy settings"
    );
    assert_eq!(user(&[("message-ttl", Value::I32(-1))]), "-1 is not a valid message TTL");
    assert_eq!(user(&[("message-ttl", "x".into())]), "'x' is not a valid message TTL");
    assert_eq!(user(&[("expires", Value::I32(0))]), "0 is not a valid queue expiry");
    assert_eq!(user(&[("overflow", "lose".into())]), "'lose' is not a valid overflow value");
    assert_eq!(
        user(&[("alternate-exchange", Value::I32(3))]),
        "3 is not a valid alternate exchange name"
    );
    let dead_letter = [("dead-letter-exchange", "x".into())];
    assert_eq!(
        refused(PolicyKind::Operator, "", &dead_letter),
        "[dead-letter-exchange] are not recognised policy settings"
    );
    assert_eq!(
        refused(PolicyKind::User, "(", &dead_letter),
        "pattern should be regular expression but is invalid: unclosed group"
    );
    let mut nameless = definition("", "", &dead_letter);
    nameless.name = "".into();
    assert!(Policy::new(PolicyKind::User, nameless).unwrap_err().contains("1 to 255 bytes"));
}

#[test]
fn what_has_no_effect_is_told() {
    let settings = [("ha-mode", "all".into()), ("max-length", Value::I32(1))];
    let policy = Policy::new(PolicyKind::User, definition("p", "", &settings)).unwrap();
    assert_eq!(policy.without_effect().collect::<Vec<_>>(), ["ha-mode"]);
}
