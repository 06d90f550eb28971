//! What a person's list of devices calls a browser: "Firefox on Linux".
//!
//! From `User-Agent` (RFC 9110 §10.1.5), which anybody can make up: it says nothing about who
//! somebody is, and no text of it is kept or shown. Two short lists of names, never a version; who
//! isn't on them is "a browser", rather than the one that it says it is like.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How much of the header is looked at. Browsers send less than half of it.
const MAX_LOOK: usize = 512;

/// A coarse name of a browser. Stored with a session; what a later release wrote and this one
/// doesn't know is unknown here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceName {
    /// The browser.
    pub browser: Browser,
    /// What it runs on.
    pub system: System,
}

impl DeviceName {
    /// The name of the browser that sends this `User-Agent`, which may be any text, or none.
    pub fn of(user_agent: Option<&str>) -> Self {
        let text = user_agent.unwrap_or_default();
        let (text, _) = text.split_at(text.floor_char_boundary(MAX_LOOK));
        let system = System::of(text);
        Self { browser: Browser::of(text, system), system }
    }
}

/// "Firefox on Linux", "Firefox", "a browser on Linux" or "a browser".
impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.browser.name().unwrap_or("a browser"))?;
        self.system.name().map_or(Ok(()), |system| write!(f, " on {system}"))
    }
}

/// A family of browsers. Brave, Vivaldi and others that don't want to be told from Chrome aren't.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Browser {
    /// Google Chrome, and Chromium.
    Chrome,
    /// Microsoft Edge.
    Edge,
    /// Mozilla Firefox.
    Firefox,
    /// Opera.
    Opera,
    /// Apple's Safari.
    Safari,
    /// Samsung Internet.
    SamsungInternet,
    /// Another, or nobody knows.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Browser {
    const fn name(self) -> Option<&'static str> {
        match self {
            Self::Chrome => Some("Chrome"),
            Self::Edge => Some("Edge"),
            Self::Firefox => Some("Firefox"),
            Self::Opera => Some("Opera"),
            Self::Safari => Some("Safari"),
            Self::SamsungInternet => Some("Samsung Internet"),
            Self::Unknown => None,
        }
    }

    fn of(text: &str, system: System) -> Self {
        let says = |name| products(text).any(|product| product == name);
        // A product that no browser on the list has: an app, a robot, or a browser that is like
        // one of them and not one of them.
        if products(text).any(|product| !COMMON.contains(&product) && own(product).is_none()) {
            return Self::Unknown;
        }
        if let Some(browser) = products(text).find_map(own) {
            return browser;
        }
        match system {
            // With `Version` it is the web view of an app.
            _ if says("Chrome") && !says("Version") => Self::Chrome,
            // There is no Safari elsewhere: it is Android's old browser, or one built on WebKit.
            System::Ipad | System::Iphone | System::Macos if says("Safari") && says("Version") => {
                Self::Safari
            }
            _ => Self::Unknown,
        }
    }
}

/// A family of operating systems.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum System {
    /// Android.
    Android,
    /// ChromeOS.
    Chromeos,
    /// An iPad that says so. By default it says that it is a Mac.
    Ipad,
    /// An iPhone.
    Iphone,
    /// Linux.
    Linux,
    /// macOS.
    Macos,
    /// Windows.
    Windows,
    /// Another, or nobody knows.
    #[default]
    #[serde(other)]
    Unknown,
}

impl System {
    const fn name(self) -> Option<&'static str> {
        match self {
            Self::Android => Some("Android"),
            Self::Chromeos => Some("ChromeOS"),
            Self::Ipad => Some("iPad"),
            Self::Iphone => Some("iPhone"),
            Self::Linux => Some("Linux"),
            Self::Macos => Some("macOS"),
            Self::Windows => Some("Windows"),
            Self::Unknown => None,
        }
    }

    /// The first that fits: Android says Linux too, an iPad and an iPhone "like Mac OS X".
    fn of(text: &str) -> Self {
        [
            ("Windows", Self::Windows),
            ("iPhone", Self::Iphone),
            ("iPad", Self::Ipad),
            ("Macintosh", Self::Macos),
            ("CrOS", Self::Chromeos),
            ("Android", Self::Android),
            ("Linux", Self::Linux),
        ]
        .into_iter()
        .find_map(|(word, system)| text.contains(word).then_some(system))
        .unwrap_or_default()
    }
}

/// Products that are in the header of more browsers than one: they say what a browser is like.
const COMMON: [&str; 7] =
    ["AppleWebKit", "Chrome", "Gecko", "Mobile", "Mozilla", "Safari", "Version"];

/// The browser whose own name this product is. Edge and Opera say Chrome and Safari too, and
/// everybody on iOS says Safari: what is the own name counts.
fn own(product: &str) -> Option<Browser> {
    match product {
        "CriOS" => Some(Browser::Chrome),
        "Edg" | "EdgA" | "EdgiOS" | "Edge" => Some(Browser::Edge),
        "Firefox" | "FxiOS" => Some(Browser::Firefox),
        "OPR" | "OPT" | "OPX" => Some(Browser::Opera),
        "SamsungBrowser" => Some(Browser::SamsungInternet),
        _ => None,
    }
}

/// The names of the products, without what stands in comments (a device may be called anything).
fn products(text: &str) -> impl Iterator<Item = &str> {
    text.split('(')
        .enumerate()
        .filter_map(|(index, piece)| match index {
            0 => Some(piece),
            _ => piece.rsplit_once(')').map(|(_comment, after)| after),
        })
        .flat_map(str::split_ascii_whitespace)
        .filter_map(|word| word.split_once('/').map(|(name, _version)| name))
}

#[cfg(test)]
mod tests;
