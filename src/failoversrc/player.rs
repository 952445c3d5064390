// SPDX-License-Identifier: MPL-2.0
//! PURE: the address of an Ant Media player page becomes the inputs that the page would try, in
//! its order: over each protocol of `playOrder` the primary, then the backup.

use url::Url;

use super::address::{Configuration, decoded, pairs};
use super::settings::Refusal;
use crate::escape::escaped;

/// What the page takes without being told.
const PLAY_ORDER: &str = "webrtc,hls";
const PLAY_TYPE: &str = "mp4,webm";

/// What names the primary; the first that has a value counts. The page reads `id`, else `name`. Newer documents write
/// `streamId`, which no released page reads: beside one of the others it never changes what the page would play.
const PRIMARY: [&str; 3] = ["id", "name", "streamId"];

/// Who may watch; the same for every stream and protocol, as on the page.
const RIGHTS: [&str; 3] = ["token", "subscriberId", "subscriberCode"];
/// The part of a recording that is asked for, over HTTP only.
const PART: [&str; 2] = ["start", "end"];

/// Whether a text looks like the address of any page.
pub(super) fn is_page(uri: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| {
        uri.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

pub(super) fn parse(uri: &str) -> Result<Configuration, Refusal> {
    let page = Page::parse(uri)?;
    let mut inputs = vec![];
    for protocol in page.play_order()? {
        for stream in page.streams()? {
            let input = page.input(protocol, &stream);
            if !inputs.contains(&input) {
                inputs.push(input);
            }
        }
    }
    Ok(Configuration {
        inputs,
        fields: vec![],
    })
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Protocol {
    Webrtc,
    Hls,
    LowLatencyHls,
    Dash,
    Recording,
}

/// A page's address, taken apart.
struct Page {
    secure: bool,
    host: String,
    port: u16,
    /// The names of the application's path, decoded; nearly always one.
    app: Vec<String>,
    parameters: Vec<(String, String)>,
}

impl Page {
    fn parse(uri: &str) -> Result<Self, Refusal> {
        let url = Url::parse(uri)
            .map_err(|error| format!("the player's address cannot be read: {error}"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "the player's address names a user: take it out, and let token= \
                        or subscriberId= say who may watch"
                    .to_owned(),
            );
        }
        let port = url.port_or_known_default().filter(|port| *port != 0);
        Ok(Self {
            secure: url.scheme() == "https",
            host: url.host_str().unwrap_or_default().to_owned(),
            port: port.ok_or("the port of the player's address is no port")?,
            app: app(url.path())?,
            parameters: pairs(url.query().unwrap_or_default())?,
        })
    }

    /// The value of a parameter; an empty one counts as none, the first of several counts.
    fn value(&self, name: &str) -> Option<&str> {
        let mut values = self.parameters.iter().filter(|(key, _)| key == name);
        let (_, value) = values.next()?;
        (!value.is_empty()).then_some(value)
    }

    fn primary(&self) -> Option<&str> {
        PRIMARY.iter().find_map(|name| self.value(name))
    }

    /// The primary and, where there is one, the backup.
    fn streams(&self) -> Result<Vec<String>, Refusal> {
        let primary = self
            .primary()
            .ok_or("the player's address has no id= (or name= or streamId=), the stream to play")?;
        let backup = self.value("backupStreamId");
        // A file is played as it is and has no backup, on the page as here.
        let backup = backup.filter(|_| !is_file(primary));
        Ok([Some(primary), backup]
            .into_iter()
            .flatten()
            .map(str::to_owned)
            .collect())
    }

    fn play_order(&self) -> Result<Vec<Protocol>, Refusal> {
        if self.primary().is_some_and(is_file) {
            return Ok(vec![Protocol::Recording]);
        }
        let order = self.value("playOrder").unwrap_or(PLAY_ORDER);
        let order = order
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let order: Vec<_> = order.map(protocol).collect::<Result<_, _>>()?;
        if order.is_empty() {
            return Err("playOrder= names no protocol".to_owned());
        }
        Ok(order)
    }

    fn input(&self, protocol: Protocol, stream: &str) -> String {
        let (host, port, app) = (&self.host, self.port, self.app.join("/"));
        if protocol == Protocol::Webrtc {
            let scheme = if self.secure { "amss" } else { "ams" };
            // Over WebRTC a stream is known by the last name of its path.
            let stream = stream.rsplit('/').next().unwrap_or_default();
            let (app, stream) = (escaped(&app), escaped(stream));
            // Ant Media's own port is not the page's when that has none.
            return format!(
                "{scheme}://{host}:{port}/{app}/{stream}{}",
                self.query(&RIGHTS)
            );
        }
        let scheme = if self.secure { "https" } else { "http" };
        let app: Vec<_> = self.app.iter().map(|name| escaped(name)).collect();
        let app = app.join("/");
        let file = self.file(protocol, stream);
        let names = [&RIGHTS[..], &PART[..]].concat();
        format!(
            "{scheme}://{host}:{port}/{app}/{file}{}",
            self.query(&names)
        )
    }

    /// Where a stream lies below the application.
    fn file(&self, protocol: Protocol, stream: &str) -> String {
        let names: Vec<_> = stream.split('/').map(escaped).collect();
        let (path, last) = (names.join("/"), names.last().cloned().unwrap_or_default());
        match protocol {
            Protocol::Webrtc | Protocol::Hls => format!("streams/{path}.m3u8"),
            Protocol::LowLatencyHls => format!("streams/ll-hls/{path}/{last}__master.m3u8"),
            Protocol::Dash => format!("streams/{path}/{last}.mpd"),
            Protocol::Recording if is_file(stream) => path,
            Protocol::Recording => {
                let types = self.value("playType").unwrap_or(PLAY_TYPE);
                let first = types.split(',').next().unwrap_or_default().trim();
                format!("streams/{path}.{}", escaped(first))
            }
        }
    }

    fn query(&self, names: &[&str]) -> String {
        let given = names
            .iter()
            .filter_map(|name| Some(format!("{name}={}", escaped(self.value(name)?))));
        let given: Vec<_> = given.collect();
        if given.is_empty() {
            return String::new();
        }
        format!("?{}", given.join("&"))
    }
}

/// The application that a page belongs to. `play/html` is how Ant Media's manual misspells it.
fn app(path: &str) -> Result<Vec<String>, Refusal> {
    let folder = ["/play.html", "/play/html"]
        .iter()
        .find_map(|page| path.strip_suffix(page));
    let folder = folder.ok_or(
        "this is no player page: the address ends in /APP/play.html?id=STREAM \
         (anything else that is http is an input: primary-uri)",
    )?;
    let names = folder.split('/').filter(|name| !name.is_empty());
    let names: Vec<_> = names.map(decoded).collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err("the player's address names no application: /APP/play.html".to_owned());
    }
    Ok(names)
}

fn protocol(name: &str) -> Result<Protocol, Refusal> {
    match name {
        "webrtc" => Ok(Protocol::Webrtc),
        "hls" => Ok(Protocol::Hls),
        "ll-hls" => Ok(Protocol::LowLatencyHls),
        "dash" => Ok(Protocol::Dash),
        "vod" => Ok(Protocol::Recording),
        _ => Err("a name in playOrder= is none of webrtc, hls, ll-hls, dash, vod".to_owned()),
    }
}

fn is_file(stream: &str) -> bool {
    stream.starts_with("streams/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(uri: &str) -> Vec<String> {
        parse(uri)
            .unwrap_or_else(|error| panic!("{uri}: {error}"))
            .inputs
    }

    #[test]
    fn the_order_is_that_of_the_page() {
        let page =
            "https://h:5443/live/play.html?id=primary&backupStreamId=backup&playOrder=webrtc,hls";
        let all = [
            "amss://h:5443/live/primary",
            "amss://h:5443/live/backup",
            "https://h:5443/live/streams/primary.m3u8",
            "https://h:5443/live/streams/backup.m3u8",
        ];
        assert_eq!(inputs(page), all);
        let untold = "https://h:5443/live/play.html?name=primary&backupStreamId=backup&mute=true#x";
        assert_eq!(inputs(untold), all);
    }

    #[test]
    fn the_primary_is_named_in_each_way_that_pages_and_documents_write() {
        let rights = "token=t&subscriberId=s&subscriberCode=c&start=1&end=2";
        let page = |query: &str| format!("https://h:5443/live/play.html?{query}");
        let of = |query: &str| inputs(&page(query));
        for rest in [
            "",
            "&backupStreamId=b",
            "&playOrder=ll-hls,dash,vod",
            &format!("&backupStreamId=b&{rights}"),
        ] {
            let by_id = of(&format!("id=p{rest}"));
            for name in ["name", "streamId"] {
                assert_eq!(of(&format!("{name}=p{rest}")), by_id, "{name} {rest}");
            }
        }
        let file = of("id=streams/old.mp4&backupStreamId=b");
        assert_eq!(of("streamId=streams/old.mp4&backupStreamId=b"), file);
    }

    #[test]
    fn of_several_names_of_the_primary_the_one_counts_that_the_page_reads() {
        for (query, primary) in [
            ("streamId=s&name=n&id=i", "i"),
            ("streamId=s&name=n", "n"),
            ("streamId=s&name=n&id=", "n"),
            ("id=&name=&streamId=s", "s"),
            ("id=i&id=j", "i"),
        ] {
            let page = format!("https://h/a/play.html?{query}&playOrder=webrtc");
            assert_eq!(
                inputs(&page),
                [format!("amss://h:443/a/{primary}")],
                "{query}"
            );
        }
    }

    #[test]
    fn rights_go_with_every_input_and_the_part_of_a_recording_with_http() {
        let page = "http://h:5080/a/play.html?id=p&token=t%26%2B&subscriberId=s&subscriberCode=c&start=1&end=2";
        assert_eq!(
            inputs(page),
            [
                "ams://h:5080/a/p?token=t%26%2B&subscriberId=s&subscriberCode=c",
                "http://h:5080/a/streams/p.m3u8?token=t%26%2B&subscriberId=s&subscriberCode=c&start=1&end=2",
            ]
        );
    }

    #[test]
    fn each_protocol_has_its_place_below_the_application() {
        let page =
            "https://h/a/play.html?id=x/p&playOrder=ll-hls,dash,vod,hls,webrtc&playType=webm";
        assert_eq!(
            inputs(page),
            [
                "https://h:443/a/streams/ll-hls/x/p/p__master.m3u8",
                "https://h:443/a/streams/x/p/p.mpd",
                "https://h:443/a/streams/x/p.webm",
                "https://h:443/a/streams/x/p.m3u8",
                "amss://h:443/a/p",
            ]
        );
    }

    #[test]
    fn a_file_is_played_as_it_is() {
        let page = "http://h/a/play.html?id=streams/old.mp4&backupStreamId=b";
        assert_eq!(inputs(page), ["http://h:80/a/streams/old.mp4"]);
    }

    #[test]
    fn hosts_ports_and_applications_of_all_kinds() {
        for (page, input) in [
            ("http://[::1]/a/play.html?id=p", "ams://[::1]:80/a/p"),
            ("HTTPS://h/a/play.html?id=p", "amss://h:443/a/p"),
            ("https://h:8443/x/a/play.html?id=p", "amss://h:8443/x%2Fa/p"),
            (
                "https://h:5443/live/play/html?name=p",
                "amss://h:5443/live/p",
            ),
        ] {
            assert_eq!(
                inputs(page).first().map(String::as_str),
                Some(input),
                "{page}"
            );
        }
    }

    #[test]
    fn the_same_input_is_not_tried_twice_in_a_row() {
        let page = "https://h:5443/a/play.html?id=p&backupStreamId=p&playOrder=webrtc,webrtc";
        assert_eq!(inputs(page), ["amss://h:5443/a/p"]);
    }

    #[test]
    fn an_error_names_what_was_wrong() {
        for (page, word) in [
            ("https://h/a/play.html", "no id="),
            ("https://h/a/play.html?id=", "no id="),
            ("https://h/a/play.html?streamId=", "no id="),
            ("https://h/a/play.html?backupStreamId=b", "no id="),
            ("https://h/play.html?id=p", "no application"),
            ("https://h/a/index.html?id=p", "no player page"),
            ("https://h/a/streams/p.m3u8", "primary-uri"),
            ("https://me:pw@h/a/play.html?id=p", "names a user"),
            ("https://h:port/a/play.html?id=p", "address"),
            ("https://h:0/a/play.html?id=p", "port"),
            ("https://h:99999/a/play.html?id=p", "port"),
            ("https:///a/play.html?id=p", "no application"),
            ("https://", "address"),
            (
                "https://h/a/play.html?id=p&playOrder=flash",
                "none of webrtc",
            ),
            ("https://h/a/play.html?id=p&playOrder=,", "no protocol"),
            ("https://h/a/play.html?id=%ZZ", "percent-encoded"),
        ] {
            let error = parse(page).expect_err(page);
            assert!(error.contains(word), "{page}: {error}");
            assert!(!error.contains("pw"), "{error}");
        }
    }
}
