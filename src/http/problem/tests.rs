use std::collections::BTreeSet;

use super::*;
use crate::http::testing;

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_ref())
}

/// The rows of `docs/problems.md`.
fn table() -> String {
    let mut table = String::new();
    for code in ProblemCode::ALL {
        let row = code.problem();
        table.push_str(&format!(
            "| `{}` | {} | {} | {} | {} |\n",
            row.code,
            row.status,
            row.owner.as_str(),
            row.detail,
            row.act
        ));
    }
    table
}

#[test]
fn every_code_stands_in_the_docs_as_it_is_here() {
    let docs = include_str!("../../../docs/problems.md");
    for row in table().lines() {
        assert!(docs.contains(row), "docs/problems.md lacks this row:\n{row}");
    }
}

#[test]
fn codes_are_unique_and_snake_case() {
    let codes: BTreeSet<_> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(codes.len(), ProblemCode::ALL.len());
    for code in codes {
        assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{code}");
    }
}

#[test]
fn a_status_fits_whose_fault_it_is() {
    for code in ProblemCode::ALL {
        let row = code.problem();
        assert!((400..600).contains(&row.status), "{}", row.code);
        if matches!(row.owner, Owner::Api | Owner::Us) {
            assert!(row.status >= 500, "{}", row.code);
        }
        if row.owner == Owner::Attacker {
            assert!(row.status < 500, "{}", row.code);
        }
        if row.status == 503 {
            assert!(code.retry_after().is_some(), "{} without Retry-After", row.code);
        }
    }
}

// attack list H15.
#[test]
fn a_problem_is_json_with_a_code_and_stays_in_no_cache() {
    for code in ProblemCode::ALL {
        let answer = problem(*code);
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(body["code"], code.as_str());
        assert_eq!(body["status"], answer.status);
        assert_eq!(header(&answer, "content-type"), Some("application/problem+json"));
        assert_eq!(header(&answer, "cache-control"), Some("no-store"));
        assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"));
        assert_eq!(header(&answer, "referrer-policy"), Some("no-referrer"));
        assert_eq!(header(&answer, "cross-origin-resource-policy"), Some("same-origin"));
        assert_eq!(header(&answer, "tokenkeep-error"), Some(code.as_str()));
        assert_eq!(header(&answer, "retry-after"), code.retry_after());
    }
}

#[test]
fn a_401_says_where_to_log_in_and_405_what_is_allowed() {
    let answer = unauthenticated(&testing::config(), &testing::https_origin());
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(body["login_url"], "https://app.example.com/auth/login");
    let answer = method_not_allowed("GET".to_owned());
    assert_eq!((answer.status, header(&answer, "allow")), (405, Some("GET")));
}
