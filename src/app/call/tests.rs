use std::time::Duration;

use super::*;
use crate::{
    config::{Connections, Navigation, SessionRequirement},
    http::testing::{APP, NOW, config, cookie_line, session_id, token},
};

/// A call of the app's, with a session.
fn call(config: &Config) -> String {
    format!("GET\n{APP}/api/x\nsec-fetch-site: same-origin\n{}", cookie_line(config))
}

fn later(secs: u64) -> Timestamp {
    NOW.after(Duration::from_secs(secs))
}

fn granted(epoch: u64) -> Reply {
    Reply::Granted(Box::new(token(epoch, NOW)))
}

/// What a step is, in a word.
fn word(step: &Step<'_>) -> String {
    match step {
        Step::Answer(answer) => answer
            .headers
            .iter()
            .find(|(name, _)| *name == "tokenkeep-error")
            .map_or_else(|| "answer".to_owned(), |(_, code)| code.clone().into_owned()),
        Step::Admit(admission) => format!("{admission:?}"),
        Step::Endpoint(_) => "endpoint".to_owned(),
        Step::Elsewhere => "elsewhere".to_owned(),
        Step::Forward(forward, _) if forward.attached.is_some() => "forward".to_owned(),
        Step::Forward(..) => "bare".to_owned(),
        Step::Ask(_) => "ask".to_owned(),
        Step::Held => "held".to_owned(),
    }
}

fn asking(step: Step<'_>) -> Asking {
    match step {
        Step::Ask(asking) => *asking,
        other => panic!("{}", word(&other)),
    }
}

fn journey(step: Step<'_>) -> Journey {
    match step {
        Step::Forward(_, journey) => journey,
        other => panic!("{}", word(&other)),
    }
}

fn edit(relay: Relay<'_>) -> ResponseEdit<'_> {
    match relay {
        Relay::Answer(edit) => edit,
        other => panic!("{other:?}"),
    }
}

/// Runs `then` with a parsed head and its configuration.
fn with_call(then: impl FnOnce(&Config, &RequestHead<'_>, &mut Calls)) {
    let config = config();
    let text = call(&config);
    then(&config, &RequestHead::parse(&text).unwrap(), &mut Calls::default());
}

#[test]
fn a_journey_comes_back_as_it_went() {
    let token = TokenFacts { epoch: 7, issued_at: NOW, expires_at: None };
    for navigation in [Navigation::Refuse, Navigation::Download, Navigation::Page] {
        for token in [None, Some(token), Some(TokenFacts { expires_at: Some(later(9)), ..token })] {
            for flag in [false, true] {
                let rules = ResponseRules { navigation, is_personal: flag };
                let carried = Carried { token, is_renewed: !flag };
                let journey = Journey { rules, carried };
                assert_eq!(Journey::parse(rules.as_str(), &carried.to_text()), Some(journey));
            }
        }
    }
    for (rules, carried) in
        [("", "0"), ("other", "0"), ("refuse", "0;1"), ("refuse", "0;x;1;1"), ("refuse", "0;1;1;x")]
    {
        assert_eq!(Journey::parse(rules, carried), None, "{rules} {carried}");
    }
}

#[test]
fn a_cold_call_asks_and_the_next_is_warm_for_as_long_as_the_cache_says() {
    with_call(|config, head, calls| {
        let asked = asking(calls.begin(config, head, NOW));
        assert_eq!(asked.key, session_id().key());
        let Command::Access { refused_epoch: None, .. } = asked.command else { panic!() };
        let step = calls.replied(config, head, &asked.question, Some(&granted(1)));
        assert_eq!(word(&step), "forward");
        assert_eq!(word(&calls.begin(config, head, later(5))), "forward");
        assert_eq!(word(&calls.begin(config, head, later(6))), "ask");
    });
}

#[test]
fn what_the_object_says_is_what_the_call_is_answered_with() {
    for (reply, expected) in [
        (None, "session_unavailable"),
        (Some(Reply::Broken), "session_unavailable"),
        (Some(Reply::Unsupported), "session_unavailable"),
        (Some(Reply::NoSession), "unauthenticated"),
    ] {
        with_call(|config, head, calls| {
            let asked = asking(calls.begin(config, head, NOW));
            let step = calls.replied(config, head, &asked.question, reply.as_ref());
            assert_eq!(word(&step), expected);
            assert_eq!(word(&calls.begin(config, head, NOW)), "ask", "nothing is kept");
        });
    }
}

#[test]
fn a_logout_forgets_what_is_warm_at_once() {
    with_call(|config, head, calls| {
        let asked = asking(calls.begin(config, head, NOW));
        calls.replied(config, head, &asked.question, Some(&granted(1)));
        calls.forget(&session_id().key());
        assert_eq!(word(&calls.begin(config, head, NOW)), "ask");
    });
}

#[test]
fn a_grant_that_was_asked_for_before_a_logout_is_not_kept_after_it() {
    with_call(|config, head, calls| {
        let asked = asking(calls.begin(config, head, NOW));
        calls.forget(&session_id().key());
        // The answer that was under way is finished; the next call asks.
        let step = calls.replied(config, head, &asked.question, Some(&granted(1)));
        assert_eq!(word(&step), "forward");
        assert_eq!(word(&calls.begin(config, head, NOW)), "ask");
    });
}

#[test]
fn a_401_asks_for_another_token_once() {
    with_call(|config, head, calls| {
        let asked = asking(calls.begin(config, head, NOW));
        let first = journey(calls.replied(config, head, &asked.question, Some(&granted(1))));
        assert!(first.rules.plain(401, &[]).is_none(), "the call has to be looked at again");
        // A quarter of its 400 s on, the token isn't young.
        let again = calls.answered(config, head, &first, 401, &[], later(100)).unwrap_err();
        let again = asking(again);
        let Command::Access { refused_epoch: Some(1), .. } = again.command else { panic!() };
        let second = journey(calls.replied(config, head, &again.question, Some(&granted(2))));
        let through = calls.answered(config, head, &second, 401, &[], later(100));
        assert!(matches!(through, Ok(Relay::Answer(_))), "the second 401 goes through");
        assert_eq!(word(&calls.begin(config, head, later(101))), "forward", "the new one is warm");
    });
}

#[test]
fn a_401_to_a_young_token_goes_through() {
    with_call(|config, head, calls| {
        let asked = asking(calls.begin(config, head, NOW));
        let first = journey(calls.replied(config, head, &asked.question, Some(&granted(1))));
        assert!(calls.answered(config, head, &first, 401, &[], later(99)).is_ok());
    });
}

const STEP_UP: [(&str, &str); 1] =
    [("www-authenticate", "Bearer error=\"insufficient_user_authentication\", max_age=\"60\"")];

/// RFC 9470. Another token of the same login would be refused like this one.
#[test]
fn an_api_that_asks_for_a_better_login_is_answered_with_its_url_and_no_refresh() {
    with_call(|config, head, calls| {
        let asked = asking(calls.begin(config, head, NOW));
        let first = journey(calls.replied(config, head, &asked.question, Some(&granted(1))));
        for at in [NOW, later(100)] {
            assert!(first.rules.plain(401, &STEP_UP).is_none());
            let step = calls.answered(config, head, &first, 401, &STEP_UP, at).unwrap_err();
            assert_eq!(word(&step), "insufficient_user_authentication");
        }
        // After a refresh for another reason too.
        let again = calls.answered(config, head, &first, 401, &[], later(100)).unwrap_err();
        let again = asking(again);
        let second = journey(calls.replied(config, head, &again.question, Some(&granted(2))));
        assert!(second.rules.plain(401, &STEP_UP).is_none());
        let step = calls.answered(config, head, &second, 401, &STEP_UP, later(101)).unwrap_err();
        assert_eq!(word(&step), "insufficient_user_authentication");
        // Not with another status; and a challenge that no login answers is the API's own word.
        assert_eq!(
            edit(calls.answered(config, head, &first, 403, &STEP_UP, NOW).unwrap()).drop.len(),
            0
        );
        let bare = [("www-authenticate", "Bearer error=\"insufficient_user_authentication\"")];
        assert!(calls.answered(config, head, &first, 401, &bare, later(100)).is_ok());
    });
}

#[test]
fn a_call_without_a_token_and_a_document_get_the_apis_own_word() {
    let mut config = config();
    config.routes[0].session = SessionRequirement::Optional;
    config.routes[0].navigation = Navigation::Page;
    let bare = format!("GET\n{APP}/api/x\n");
    let document = format!("{}sec-fetch-dest: document\nreferer: {APP}/\n", call(&config));
    for text in [bare, document] {
        let head = RequestHead::parse(&text).unwrap();
        let mut calls = Calls::default();
        let step = match calls.begin(&config, &head, NOW) {
            Step::Ask(asking) => calls.replied(&config, &head, &asking.question, Some(&granted(1))),
            step => step,
        };
        let relay = calls.answered(&config, &head, &journey(step), 401, &STEP_UP, later(100));
        assert!(matches!(relay, Ok(Relay::Answer(_))), "{relay:?}");
    }
}

/// What the object says to the question after a 401 → what happens to the API's own answer.
#[test]
fn where_no_other_token_is_to_be_had_the_apis_own_401_goes_through() {
    for (reply, expected) in [
        (Some(granted(1)), "held"),
        (Some(granted(2)), "forward"),
        (Some(Reply::Broken), "held"),
        (None, "held"),
        // The session has ended: that is ours to say.
        (Some(Reply::NoSession), "unauthenticated"),
    ] {
        with_call(|config, head, calls| {
            let asked = asking(calls.begin(config, head, NOW));
            let first = journey(calls.replied(config, head, &asked.question, Some(&granted(1))));
            let again = calls.answered(config, head, &first, 401, &[], later(100)).unwrap_err();
            let again = asking(again);
            let step = calls.replied(config, head, &again.question, reply.as_ref());
            assert_eq!(word(&step), expected, "{reply:?}");
        });
    }
}

#[test]
fn a_session_that_ended_under_a_401_is_warm_no_more() {
    with_call(|config, head, calls| {
        let asked = asking(calls.begin(config, head, NOW));
        calls.replied(config, head, &asked.question, Some(&granted(1)));
        let asked = asking(calls.ask_for_test(config, head));
        calls.replied(config, head, &asked.question, Some(&Reply::NoSession));
        assert_eq!(word(&calls.begin(config, head, NOW)), "ask");
    });
}

impl Calls {
    /// The question after a 401, as a call of another token's time would ask it.
    fn ask_for_test<'c, 'h>(&self, config: &'c Config, head: &'h RequestHead<'h>) -> Step<'c> {
        let Decision::Ask(ask) = decide(config, head) else { panic!() };
        self.ask(&ask, Some(1), NOW)
    }
}

#[test]
fn a_plain_answer_is_edited_without_another_look_at_the_call() {
    with_call(|config, head, calls| {
        let asked = asking(calls.begin(config, head, NOW));
        let journey = journey(calls.replied(config, head, &asked.question, Some(&granted(1))));
        let headers = [("set-cookie", "a=b"), ("content-type", "application/json")];
        let plain = journey.rules.plain(200, &headers).unwrap();
        assert_eq!(plain.drop, ["set-cookie"]);
        let looked = calls.answered(config, head, &journey, 200, &headers, NOW).unwrap();
        assert_eq!(plain, edit(looked), "both ways edit alike");
        for status in [101, 199, 600, 999] {
            assert!(journey.rules.plain(status, &[]).is_none(), "{status}");
            let refused = calls.answered(config, head, &journey, status, &[], NOW).unwrap_err();
            let Step::Answer(answer) = refused else { panic!("{status}: {}", word(&refused)) };
            assert_eq!(answer.status, 502, "{status}");
        }
    });
}

const SOCKET: &str = "upgrade: websocket\nconnection: Upgrade\norigin: https://app.example.com\n\
                      sec-websocket-version: 13\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\n";
const SWITCHED: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("sec-websocket-accept", "x"),
    ("sec-websocket-protocol", "chat"),
    ("set-cookie", "a=b"),
];
const STREAM: [(&str, &str); 2] =
    [("content-type", "Text/Event-Stream; charset=utf-8"), ("content-encoding", "gzip")];

/// What becomes of `response` to a call of the app's on a route with these `connections`.
fn relayed(
    connections: Connections,
    more: &str,
    status: u16,
    response: &[(&str, &str)],
) -> (&'static str, Vec<String>, Option<Box<Watch>>) {
    let mut config = config();
    config.routes[0].connections = connections;
    let text = format!("{}{more}", call(&config));
    let head = RequestHead::parse(&text).unwrap();
    let mut calls = Calls::default();
    let asked = asking(calls.begin(&config, &head, NOW));
    let journey = journey(calls.replied(&config, &head, &asked.question, Some(&granted(1))));
    let relay = calls.answered(&config, &head, &journey, status, response, NOW);
    let (kind, edit, watch) = match relay {
        Ok(Relay::Answer(edit)) => {
            let plain = journey.rules.plain(status, response);
            assert!(plain.is_none_or(|plain| plain == edit), "both ways edit alike");
            ("answer", edit, None)
        }
        Ok(Relay::Socket(edit, watch)) => ("socket", edit, watch),
        Ok(Relay::Stream(edit, watch)) => ("stream", edit, Some(watch)),
        Err(step) => return (Box::leak(word(&step).into_boxed_str()), vec![], None),
    };
    if kind != "answer" {
        assert!(
            journey.rules.plain(status, response).is_none(),
            "the call has to be looked at again"
        );
    }
    (kind, edit.drop.into_iter().map(str::to_owned).collect(), watch)
}

#[test]
fn a_101_is_an_answer_to_a_handshake_alone() {
    let (kind, dropped, watch) = relayed(Connections::Pass, SOCKET, 101, &SWITCHED);
    assert_eq!((kind, watch.is_none()), ("socket", true));
    assert_eq!(dropped, ["connection", "sec-websocket-accept", "set-cookie"]);
    let (kind, ..) = relayed(Connections::Pass, "", 101, &SWITCHED);
    assert_eq!(kind, "upstream_status_invalid");
    // An API that doesn't take the handshake answers as it answers anybody.
    assert_eq!(relayed(Connections::Pass, SOCKET, 426, &[]).0, "answer");
}

#[test]
fn what_is_bound_comes_with_a_question_about_its_session() {
    for (more, status, response, expected) in
        [(SOCKET, 101, &SWITCHED[..], "socket"), ("", 200, &STREAM[..], "stream")]
    {
        let (kind, _, watch) = relayed(Connections::Bound, more, status, response);
        assert_eq!(kind, expected);
        assert_eq!(watch.unwrap().key, session_id().key());
    }
    // It passes through a stream of ours, which sees it decoded where the runtime can do that.
    for (coding, expected) in [
        ("gzip", &["content-length", "content-encoding"][..]),
        ("br", &["content-length", "content-encoding"]),
        ("GZIP", &["content-length"]),
        ("deflate", &["content-length"]),
        ("zstd", &["content-length"]),
        ("gzip, br", &["content-length"]),
        ("x-gzip", &["content-length"]),
    ] {
        let response = [STREAM[0], ("content-encoding", coding)];
        let (kind, dropped, _) = relayed(Connections::Bound, "", 200, &response);
        assert_eq!(kind, "stream");
        assert_eq!(dropped, expected, "{coding}");
    }
    for connections in [Connections::Refuse, Connections::Pass] {
        let (kind, dropped, _) = relayed(connections, "", 200, &STREAM);
        assert_eq!((kind, dropped.len()), ("answer", 0), "{connections:?}");
    }
    let json = [("content-type", "application/json")];
    assert_eq!(relayed(Connections::Bound, "", 200, &json).0, "answer");
}

#[test]
fn without_a_session_there_is_none_to_end_with() {
    let mut config = config();
    config.routes[0].connections = Connections::Bound;
    config.routes[0].session = SessionRequirement::Optional;
    let text = format!("GET\n{APP}/api/x\n{SOCKET}");
    let head = RequestHead::parse(&text).unwrap();
    let mut calls = Calls::default();
    let step = calls.begin(&config, &head, NOW);
    assert_eq!(word(&step), "bare");
    let relay = calls.answered(&config, &head, &journey(step), 101, &SWITCHED, NOW);
    assert!(matches!(relay, Ok(Relay::Socket(_, None))), "{relay:?}");
    // A cookie whose session has ended is none either.
    let text = format!("{text}{}", cookie_line(&config));
    let head = RequestHead::parse(&text).unwrap();
    let asked = asking(calls.begin(&config, &head, NOW));
    let step = calls.replied(&config, &head, &asked.question, Some(&Reply::NoSession));
    assert_eq!(word(&step), "bare");
    let relay = calls.answered(&config, &head, &journey(step), 101, &SWITCHED, NOW);
    assert!(matches!(relay, Ok(Relay::Socket(_, None))), "{relay:?}");
}

#[test]
fn a_stream_for_which_the_session_was_only_tested_ends_with_it_too() {
    let mut config = config();
    config.routes[0].connections = Connections::Bound;
    config.routes[0].navigation = Navigation::Page;
    let headers = "sec-fetch-dest: document\nsec-fetch-site: none\n";
    let text = format!("GET\n{APP}/api/x\n{headers}{}", cookie_line(&config));
    let head = RequestHead::parse(&text).unwrap();
    let mut calls = Calls::default();
    let asked = asking(calls.begin(&config, &head, NOW));
    let step = calls.replied(&config, &head, &asked.question, Some(&granted(1)));
    assert_eq!(word(&step), "bare");
    let relay = calls.answered(&config, &head, &journey(step), 200, &STREAM, NOW);
    assert!(matches!(relay, Ok(Relay::Stream(..))), "{relay:?}");
}

#[test]
fn a_handshake_that_the_api_answers_with_401_is_tried_again_like_a_call() {
    assert_eq!(relayed(Connections::Pass, SOCKET, 401, &[]).0, "answer", "a young token");
    let mut config = config();
    config.routes[0].connections = Connections::Pass;
    let text = format!("{}{SOCKET}", call(&config));
    let head = RequestHead::parse(&text).unwrap();
    let mut calls = Calls::default();
    let asked = asking(calls.begin(&config, &head, NOW));
    let first = journey(calls.replied(&config, &head, &asked.question, Some(&granted(1))));
    let again = calls.answered(&config, &head, &first, 401, &[], later(100)).unwrap_err();
    let again = asking(again);
    let step = calls.replied(&config, &head, &again.question, Some(&granted(2)));
    let Step::Forward(forward, _) = step else { panic!("{}", word(&step)) };
    assert!(forward.headers.is_socket);
}

#[test]
fn a_redirect_within_the_route_becomes_ours_and_one_past_it_is_refused() {
    with_call(|config, head, calls| {
        let asked = asking(calls.begin(config, head, NOW));
        let journey = journey(calls.replied(config, head, &asked.question, Some(&granted(1))));
        let to = |location| {
            let headers = [("location", location)];
            assert!(journey.rules.plain(302, &headers).is_none());
            calls.answered(config, head, &journey, 302, &headers, NOW).map(|found| edit(found).set)
        };
        let ours = to("https://api.example.com/api/y").unwrap();
        assert!(ours.contains(&("location", "/api/y".into())), "{ours:?}");
        assert_eq!(
            word(&to("https://api.example.com/admin").unwrap_err()),
            "upstream_redirect_refused"
        );
    });
}

#[test]
fn a_redirect_of_a_gated_page_that_went_on_without_a_token_is_mapped_too() {
    let mut config = config();
    config.routes[0].navigation = Navigation::Page;
    let headers = "sec-fetch-dest: document\nsec-fetch-site: none\n";
    let text = format!("GET\n{APP}/api/x\n{headers}{}", cookie_line(&config));
    let head = RequestHead::parse(&text).unwrap();
    let mut calls = Calls::default();
    let asked = asking(calls.begin(&config, &head, NOW));
    let step = calls.replied(&config, &head, &asked.question, Some(&granted(1)));
    assert_eq!(word(&step), "bare");
    let location = [("location", "https://api.example.com/api/y")];
    let found = calls.answered(&config, &head, &journey(step), 302, &location, NOW).unwrap();
    assert!(edit(found).set.contains(&("location", "/api/y".into())));
}

/// A journey stands in the entry's hands as text: no token may be in it.
#[test]
fn a_journey_and_a_question_hold_no_token_and_no_session() {
    with_call(|config, head, calls| {
        let asked = asking(calls.begin(config, head, NOW));
        let question = asked.question.to_text();
        assert_eq!(Question::parse(&question), Some(asked.question));
        let journey = journey(calls.replied(config, head, &asked.question, Some(&granted(1))));
        let carried = journey.carried.to_text();
        for text in [question, carried] {
            assert!(!text.contains("the-access-token"), "{text}");
            assert!(!text.contains(&crate::base64url::encode([9; 32])), "{text}");
        }
    });
}

#[test]
fn a_question_that_an_api_brought_about_says_which_token_was_refused() {
    let question = Question { asked_at: NOW, ends: 7, refused_epoch: Some(3) };
    let text = question.to_text();
    assert_eq!(text, format!("{};7;3", NOW.as_millis()));
    assert_eq!(Question::parse(&text), Some(question));
    for text in ["", "1", "1;2", "1;2;x", "x;2;", ";;", "1;-2;"] {
        assert_eq!(Question::parse(text), None, "{text}");
    }
}

// A trap between question and reply: the session may have been ended by the instance that is gone.
#[test]
fn what_another_instance_asked_is_not_kept() {
    with_call(|config, head, calls| {
        let asked = asking(calls.begin(config, head, NOW));
        let mut next = Calls::new(1);
        let step = next.replied(config, head, &asked.question, Some(&granted(1)));
        assert!(matches!(step, Step::Forward(..)), "this call goes on");
        assert!(matches!(next.begin(config, head, NOW), Step::Ask(_)));
    });
}
