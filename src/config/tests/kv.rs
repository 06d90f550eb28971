//! Sessions in KV: what has to be said then, and what can't be.

use super::*;

/// A configuration without a fault that keeps sessions in KV, and no Durable Object.
fn in_kv(patch: &Value) -> Environment {
    let mut tokenkeep = right();
    let kv = json!({
        "session": { "store": "kv" },
        "provider": { "rotates_refresh_tokens": false },
    });
    json::merge_patch(&mut tokenkeep, &kv);
    json::merge_patch(&mut tokenkeep, patch);
    let mut environment = environment(tokenkeep);
    environment.bindings = ["SESSIONS_KV", "API", "ASSETS"].map(str::to_owned).to_vec();
    environment
}

fn expected(environment: &Environment) -> String {
    let ConfigFaults(faults) = parse(environment).unwrap_err();
    let [fault] = faults.as_slice() else { panic!("{faults:?}") };
    fault.expected.clone()
}

#[test]
fn sessions_may_be_kept_in_kv_without_a_durable_object() {
    let config = accept(&in_kv(&json!({})));
    assert_eq!(config.session.store, Store::Kv { delayed_logout: false });
    assert_eq!(config.session.revocation_ticket, Duration::ZERO, "no alarm would try again");
    let config = accept(&in_kv(&json!({ "session": { "kv_delayed_logout": true } })));
    assert_eq!(config.session.store, Store::Kv { delayed_logout: true });
    accept(&in_kv(&json!({ "session": { "revocation_ticket_minutes": 0 } })));
    accept(&in_kv(&json!({ "provider": { "rotates_refresh_tokens": true } })));
}

#[test]
fn what_kv_needs_and_what_it_can_not_do_is_a_fault() {
    let cases = [
        (
            json!({ "provider": { "rotates_refresh_tokens": null } }),
            "provider.rotates_refresh_tokens",
        ),
        (
            json!({ "provider": { "rotates_refresh_tokens": "no" } }),
            "provider.rotates_refresh_tokens",
        ),
        (json!({ "jurisdiction": "eu" }), "jurisdiction"),
        (
            json!({ "session": { "revocation_ticket_minutes": 60 } }),
            "session.revocation_ticket_minutes",
        ),
        (
            json!({ "session": { "revocation_ticket_minutes": 0.1 } }),
            "session.revocation_ticket_minutes",
        ),
        (json!({ "session": { "kv_delayed_logout": 1 } }), "session.kv_delayed_logout"),
    ];
    for (patch, key) in cases {
        assert_eq!(keys(&in_kv(&patch)), [key], "{patch}");
    }
}

#[test]
fn a_fault_says_why_kv_needs_to_know_whether_the_provider_rotates() {
    let text = expected(&in_kv(&json!({ "provider": { "rotates_refresh_tokens": null } })));
    for word in ["two refreshes", "false if", "true if", "end with their access token"] {
        assert!(text.contains(word), "{text}");
    }
    // Named at once with whatever else is wrong there.
    let faulty = in_kv(&json!({ "provider": { "rotates_refresh_tokens": null, "issuer": 7 } }));
    assert_eq!(keys(&faulty), ["provider.issuer", "provider.rotates_refresh_tokens"]);
}

#[test]
fn each_store_asks_for_its_own_binding_and_says_so() {
    let mut kv = in_kv(&json!({}));
    kv.bindings = vec!["SESSIONS".to_owned(), "API".to_owned()];
    assert_eq!(keys(&kv), ["SESSIONS_KV"]);
    assert!(expected(&kv).contains("KV namespace"));
    let mut durable = environment(right());
    durable.bindings = vec!["SESSIONS_KV".to_owned(), "API".to_owned()];
    assert_eq!(keys(&durable), ["SESSIONS", "SUBJECTS"]);
    let faults = parse(&durable).unwrap_err().to_string();
    assert!(faults.contains("SessionObject") && faults.contains("SubjectObject"), "{faults}");
    // Overrides are part of what is asked.
    let mut overridden = durable;
    overridden.overrides = Some(
        r#"{"session": {"store": "kv"}, "provider": {"rotates_refresh_tokens": true}}"#.to_owned(),
    );
    assert!(accept(&overridden).session.store.is_kv());
}

// A setting that has no effect would be believed.
#[test]
fn a_key_of_kv_is_refused_where_sessions_are_in_durable_objects() {
    for session in [
        json!({ "kv_delayed_logout": true }),
        json!({ "kv_delayed_logout": false, "store": "durable" }),
    ] {
        let patch = json!({ "session": session });
        assert_eq!(keys(&with(&patch)), ["session.kv_delayed_logout"], "{patch}");
    }
}
