use serde_json::json;

use super::*;

fn name(user_agent: &str) -> String {
    DeviceName::of(Some(user_agent)).to_string()
}

const LINUX: &str = "Mozilla/5.0 (X11; Linux x86_64)";
const MAC: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)";
const WINDOWS: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)";
const CHROMEOS: &str = "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0)";
const ANDROID: &str = "Mozilla/5.0 (Linux; Android 10; K)";
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X)";
const IPAD: &str = "Mozilla/5.0 (iPad; CPU OS 18_7 like Mac OS X)";
const CHROME: &str = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0";
const WEBKIT: &str = "AppleWebKit/605.1.15 (KHTML, like Gecko)";

#[test]
fn the_browsers_of_today_have_a_name() {
    for (system, rest, expected) in [
        (WINDOWS, format!("{CHROME} Safari/537.36"), "Chrome on Windows"),
        (MAC, format!("{CHROME} Safari/537.36"), "Chrome on macOS"),
        (LINUX, format!("{CHROME} Safari/537.36"), "Chrome on Linux"),
        (CHROMEOS, format!("{CHROME} Safari/537.36"), "Chrome on ChromeOS"),
        (ANDROID, format!("{CHROME} Mobile Safari/537.36"), "Chrome on Android"),
        (ANDROID, format!("{CHROME} Safari/537.36"), "Chrome on Android"),
        (
            IPHONE,
            format!("{WEBKIT} CriOS/142.0.7444.77 Mobile/15E148 Safari/604.1"),
            "Chrome on iPhone",
        ),
        (
            IPAD,
            format!("{WEBKIT} CriOS/142.0.7444.77 Mobile/15E148 Safari/604.1"),
            "Chrome on iPad",
        ),
        // An iPhone that asks for the desktop's page.
        (MAC, format!("{WEBKIT} CriOS/142 Version/11.1.1 Safari/605.1.15"), "Chrome on macOS"),
        (WINDOWS, format!("{CHROME} Safari/537.36 Edg/142.0.0.0"), "Edge on Windows"),
        (MAC, format!("{CHROME} Safari/537.36 Edg/142.0.0.0"), "Edge on macOS"),
        (LINUX, format!("{CHROME} Safari/537.36 Edg/142.0.0.0"), "Edge on Linux"),
        (ANDROID, format!("{CHROME} Mobile Safari/537.36 EdgA/142.0.0.0"), "Edge on Android"),
        (
            IPHONE,
            format!("{WEBKIT} Version/18.0 EdgiOS/142.0.3595.66 Mobile/15E148 Safari/605.1.15"),
            "Edge on iPhone",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One)",
            format!("{CHROME} Safari/537.36 Edge/44.18363.8131"),
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0)",
            "Gecko/20100101 Firefox/145.0".to_owned(),
            "Firefox on Windows",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0)",
            "Gecko/20100101 Firefox/145.0".to_owned(),
            "Firefox on macOS",
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)",
            "Gecko/20100101 Firefox/140.0".to_owned(),
            "Firefox on Linux",
        ),
        (
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:145.0)",
            "Gecko/20100101 Firefox/145.0".to_owned(),
            "Firefox on Linux",
        ),
        (
            "Mozilla/5.0 (Android 15; Mobile; rv:145.0)",
            "Gecko/145.0 Firefox/145.0".to_owned(),
            "Firefox on Android",
        ),
        (IPHONE, format!("{WEBKIT} FxiOS/145.0 Mobile/15E148 Safari/604.1"), "Firefox on iPhone"),
        (IPAD, format!("{WEBKIT} FxiOS/145.0 Mobile/15E148 Safari/604.1"), "Firefox on iPad"),
        (MAC, format!("{WEBKIT} Version/26.1 Safari/605.1.15"), "Safari on macOS"),
        (IPHONE, format!("{WEBKIT} Version/26.1 Mobile/15E148 Safari/604.1"), "Safari on iPhone"),
        (IPAD, format!("{WEBKIT} Version/18.7 Mobile/15E148 Safari/604.1"), "Safari on iPad"),
        (WINDOWS, format!("{CHROME} Safari/537.36 OPR/124.0.0.0"), "Opera on Windows"),
        (LINUX, format!("{CHROME} Safari/537.36 OPR/124.0.0.0 (Edition std-1)"), "Opera on Linux"),
        (ANDROID, format!("{CHROME} Mobile Safari/537.36 OPR/93.0.0.0"), "Opera on Android"),
        (
            IPHONE,
            format!("{WEBKIT} Version/18.7 Mobile/15E148 Safari/604.1 OPT/6.2.0"),
            "Opera on iPhone",
        ),
        (
            ANDROID,
            "AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile \
             Safari/537.36"
                .to_owned(),
            "Samsung Internet on Android",
        ),
    ] {
        assert_eq!(name(&format!("{system} {rest}")), expected, "{system} {rest}");
    }
}

#[test]
fn what_is_only_like_a_browser_of_the_list_has_no_name() {
    for (user_agent, expected) in [
        (
            format!("{LINUX} AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0 Safari/1"),
            "a browser on Linux",
        ),
        (format!("{WINDOWS} {CHROME} YaBrowser/25.10 Safari/537.36"), "a browser on Windows"),
        (format!("{ANDROID} {CHROME} HuaweiBrowser/15 Mobile Safari/1"), "a browser on Android"),
        (format!("{LINUX} Gecko/20100101 Firefox/128.0 SeaMonkey/2.53"), "a browser on Linux"),
        // WebKit without Safari, Android's old browser, an app's web view, an app on a home screen.
        (format!("{LINUX} {WEBKIT} Version/18.6 Safari/605.1.15"), "a browser on Linux"),
        (
            format!("{ANDROID} AppleWebKit/534.30 Version/4.0 Mobile Safari/534.30"),
            "a browser on Android",
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; SM-S911B Build/UP1A.231005.007; wv) \
             AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/142.0.0.0 Mobile \
             Safari/537.36"
                .to_owned(),
            "a browser on Android",
        ),
        (format!("{IPHONE} {WEBKIT} Mobile/15E148"), "a browser on iPhone"),
        (format!("{IPHONE} {WEBKIT} Mobile/15E148 Safari/604.1"), "a browser on iPhone"),
        (
            "Mozilla/5.0 (X11; FreeBSD amd64; rv:145.0) Gecko/20100101 Firefox/145.0".to_owned(),
            "Firefox",
        ),
        ("curl/8.16.0".to_owned(), "a browser"),
        ("Mozilla/5.0".to_owned(), "a browser"),
    ] {
        assert_eq!(name(&user_agent), expected, "{user_agent}");
    }
}

#[test]
fn a_device_may_be_called_anything() {
    let called = |device: &str| {
        name(&format!("Mozilla/5.0 (Linux; Android 14; {device}) {CHROME} Mobile Safari/537.36"))
    };
    for device in ["K", "SM-S911B Build/UP1A.231005.007", "a (b) Firefox/1", "(((", ") x ("] {
        assert_eq!(called(device), "Chrome on Android", "{device}");
    }
}

#[test]
fn no_text_of_the_header_is_shown_whatever_it_is() {
    assert_eq!(DeviceName::of(None).to_string(), "a browser");
    let long = format!("{WINDOWS} {CHROME} Safari/537.36");
    for (user_agent, expected) in [
        (String::new(), "a browser"),
        (" ".repeat(10_240), "a browser"),
        ("x".repeat(10_240), "a browser"),
        ("(".repeat(10_240), "a browser"),
        (")/".repeat(5_120), "a browser"),
        ("é".repeat(5_120), "a browser"),
        (format!("{}é Windows", "x".repeat(511)), "a browser"),
        ("<script>alert(1)</script>".to_owned(), "a browser"),
        ("Firefox".to_owned(), "a browser"),
        ("firefox/145.0 linux".to_owned(), "a browser"),
        ("Firefox/<b> Linux".to_owned(), "Firefox on Linux"),
        ("Firefox\u{202e}/1 Linux\0".to_owned(), "a browser on Linux"),
        (format!("{long} {}", "Firefox/1 ".repeat(1_000)), "Firefox on Windows"),
        // What comes too late isn't read.
        (format!("{}{long}", "x".repeat(512)), "a browser"),
        (format!("{long}{}Edg/142.0", " ".repeat(512)), "Chrome on Windows"),
    ] {
        assert_eq!(
            name(&user_agent),
            expected,
            "{}",
            user_agent.chars().take(60).collect::<String>()
        );
    }
}

#[test]
fn a_name_is_stored_as_two_words_and_comes_back() {
    use Browser as B;
    use System as S;
    let browsers =
        [B::Chrome, B::Edge, B::Firefox, B::Opera, B::Safari, B::SamsungInternet, B::Unknown];
    let words = ["chrome", "edge", "firefox", "opera", "safari", "samsung_internet", "unknown"];
    assert_eq!(serde_json::to_value(browsers).unwrap(), json!(words));
    let systems =
        [S::Android, S::Chromeos, S::Ipad, S::Iphone, S::Linux, S::Macos, S::Windows, S::Unknown];
    let words = ["android", "chromeos", "ipad", "iphone", "linux", "macos", "windows", "unknown"];
    assert_eq!(serde_json::to_value(systems).unwrap(), json!(words));
    for browser in browsers {
        for system in systems {
            let name = DeviceName { browser, system };
            let stored = serde_json::to_string(&name).unwrap();
            assert_eq!(serde_json::from_str::<DeviceName>(&stored).unwrap(), name, "{stored}");
        }
    }
}

#[test]
fn what_a_later_release_stored_is_unknown_to_this_one() {
    for (stored, expected) in [
        (json!({ "browser": "ladybird", "system": "linux" }), "a browser on Linux"),
        (json!({ "browser": "firefox", "system": "fuchsia" }), "Firefox"),
        (json!({ "browser": "Firefox", "system": "" }), "a browser"),
        (json!({ "browser": "edge", "system": "windows", "form": "tablet" }), "Edge on Windows"),
        (json!({ "system": "windows" }), "a browser on Windows"),
        (json!({}), "a browser"),
    ] {
        let name: DeviceName = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(name.to_string(), expected, "{stored}");
    }
}
