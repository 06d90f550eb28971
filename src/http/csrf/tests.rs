use super::*;
use crate::http::testing::{APP, https_origin, loopback_origin};

fn checked(origin: &Origin, policy: CsrfPolicy, headers: &str) -> Result<(), CsrfFault> {
    let text = format!("POST\n{}/api/x\n{headers}", origin.serialized);
    check(&RequestHead::parse(&text).unwrap(), origin, policy).map(|_| ())
}

/// The rules once more, as a table and not as code: site × origin × header.
fn expected(
    site: Option<&str>,
    sent_origin: Option<&str>,
    header: Option<&str>,
    policy: CsrfPolicy,
) -> Result<(), CsrfFault> {
    let site_is_known = matches!(site, Some("same-origin" | "same-site" | "cross-site" | "none"));
    let stage = match (site, sent_origin) {
        (Some("same-site"), _) => Err(CsrfFault::SameSite),
        (Some("cross-site" | "none"), _) => Err(CsrfFault::CrossSite),
        (_, Some(sent)) if sent != APP => Err(CsrfFault::ForeignOrigin),
        (Some("same-origin"), _) | (_, Some(APP)) => Ok(()),
        _ if !site_is_known && header == Some("1") => Ok(()),
        _ => Err(CsrfFault::HeaderMissing),
    };
    match (stage, policy) {
        (Ok(()), CsrfPolicy::Header) if header != Some("1") => Err(CsrfFault::HeaderMissing),
        (stage, _) => stage,
    }
}

// attack list H8, H11, H12, C3.
#[test]
fn the_full_matrix_of_site_origin_header_content_type_and_method() {
    let sites = [
        None,
        Some("same-origin"),
        Some("same-site"),
        Some("cross-site"),
        Some("none"),
        Some("garbage"),
        Some(""),
        Some("Same-Origin"),
        Some("same-origin, same-origin"),
        Some("same-origin, cross-site"),
        Some("cross-site, same-origin"),
    ];
    let origins = [
        None,
        Some(APP),
        Some("null"),
        Some(""),
        Some("https://evil.example"),
        Some("http://app.example.com"),
        Some("https://app.example.com:444"),
        Some("https://app.example.com."),
        Some("https://app.example.com.evil.example"),
        Some("https://sub.app.example.com"),
        Some("https://APP.example.com"),
        Some("https://app.example.com, https://app.example.com"),
        Some("https://app.example.com, https://evil.example"),
        Some("https://xn--app-.example.com"),
    ];
    let headers = [None, Some("1"), Some("0"), Some(""), Some("1, 1"), Some("01"), Some(" 1")];
    let types = [
        "",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/json",
        "application/json, text/plain",
    ];
    let mut passed = 0;
    for policy in [CsrfPolicy::FetchMetadata, CsrfPolicy::Header] {
        for site in sites {
            for sent in origins {
                for header in headers {
                    for content_type in types {
                        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
                            let mut text = format!("{method}\n{APP}/api/x\n");
                            for (name, value) in [
                                ("sec-fetch-site", site),
                                ("origin", sent),
                                ("x-tokenkeep", header),
                                ("content-type", Some(content_type)),
                            ] {
                                if let Some(value) = value {
                                    text.push_str(&format!("{name}: {value}\n"));
                                }
                            }
                            let head = RequestHead::parse(&text).unwrap();
                            let found = check(&head, &https_origin(), policy).map(|_| ());
                            let wanted = expected(site, sent, header, policy);
                            assert_eq!(found, wanted, "{policy:?} {text}");
                            passed += usize::from(found.is_ok());
                        }
                    }
                }
            }
        }
    }
    // same-origin or not known × (absent or ours) with the layers that remain: counted by hand.
    // Fetch Metadata: 7 same-origin·absent, 7 same-origin·ours, 6 unknown sites and none at all:
    // ×7 with our Origin, ×1 with the header alone. Header: those with the header `1`.
    let fetch_metadata = 7 + 7 + 7 * 7 + 7;
    let header = 1 + 1 + 7 + 7;
    assert_eq!(passed, (fetch_metadata + header) * types.len() * 6);
}

#[test]
fn another_port_of_this_machine_is_told_to_use_the_dev_servers_proxy() {
    let headers = "sec-fetch-site: same-site\norigin: http://localhost:5173\n";
    let fault = checked(&loopback_origin(), CsrfPolicy::FetchMetadata, headers).unwrap_err();
    assert_eq!(fault, CsrfFault::DevServer);
    assert_eq!(fault.code(), ProblemCode::DevServerNotProxied);
    let fault = checked(&https_origin(), CsrfPolicy::FetchMetadata, headers).unwrap_err();
    assert_eq!(fault.code(), ProblemCode::CsrfSameSite);
}

#[test]
fn a_foreign_origin_refuses_even_with_the_header_and_with_same_origin_metadata() {
    for sent in ["null", "https://evil.example"] {
        let headers = format!("sec-fetch-site: same-origin\norigin: {sent}\nx-tokenkeep: 1\n");
        let fault = checked(&https_origin(), CsrfPolicy::FetchMetadata, &headers).unwrap_err();
        assert_eq!(fault, CsrfFault::ForeignOrigin, "{sent}");
    }
}
