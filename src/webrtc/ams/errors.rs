// SPDX-License-Identifier: MPL-2.0
//! PURE: the errors of an Ant Media server: what each of them means for a player, and when it makes
//! sense to try again.

use std::time::Duration;

use crate::webrtc::signalling::{Cause, Failure, Retry, Trouble, quoted};

/// What is to be done about an error.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The stream is not there; the server says when it is.
    Wait,
    /// This socket plays the stream already: stop, then play.
    StopFirst,
    Fail(Failure),
}

/// Nobody can tell how long such a state lasts; a viewer limit is not left within a second.
const BUSY: Retry = Retry::Later(Duration::from_secs(10));
const TROUBLED: Retry = Retry::Later(Duration::from_secs(5));

/// `hide` takes secrets out of a text.
pub(super) fn remedy(
    definition: &str,
    information: &str,
    whom: &str,
    hide: impl Fn(&str) -> String,
) -> Remedy {
    let (cause, retry, text) = match definition {
        "no_stream_exist" if information == "webrtc_not_enabled" => (
            Cause::Refused,
            Retry::Never,
            "WebRTC is not enabled for this stream: enable it at the server or use HLS",
        ),
        "no_stream_exist" => return Remedy::Wait,
        "already_playing" => return Remedy::StopFirst,
        "noStreamNameSpecified" | "invalidStreamName" => (
            Cause::Settings,
            Retry::Never,
            "the stream's name is not valid: letters, digits, - _ and . only",
        ),
        "unauthorized_access" => (
            Cause::Unauthorized,
            Retry::Never,
            "the token or subscriber code is missing, wrong, or for another stream",
        ),
        "user_blocked" => (
            Cause::Unauthorized,
            Retry::Never,
            "this subscriber is blocked",
        ),
        "license_suspended_please_renew_license" => (
            Cause::Refused,
            Retry::Never,
            "the server's licence is suspended",
        ),
        "highResourceUsage" => (Cause::Busy, BUSY, "the server is overloaded"),
        "viewerLimitReached" => (
            Cause::Busy,
            BUSY,
            "the stream has as many viewers as it may",
        ),
        "not_initialized_yet" => (Cause::Busy, Retry::Soon, "the server is still starting"),
        "data_store_not_available" => (
            Cause::Busy,
            Retry::Soon,
            "the server's database is not available",
        ),
        "stream_not_active_or_expired" => (
            Cause::NotFound,
            BUSY,
            "the stream is outside the time that it is planned for",
        ),
        "notSetRemoteDescription" | "notSetLocalDescription" => (
            Cause::Incompatible,
            Retry::Never,
            "server and player have no codec in common: publish H.264 or VP8 with Opus",
        ),
        "server_error_check_logs" | "encoderNotOpened" | "encoderBlocked" => (
            Cause::Refused,
            TROUBLED,
            "the server has trouble with this stream, its log says more",
        ),
        unknown => {
            // Before it is shortened: half a token is still one.
            let text = format!("{whom}: the server refuses: {}", quoted(&hide(unknown)));
            return Remedy::Fail(Failure::new(Cause::Refused, text, TROUBLED));
        }
    };
    Remedy::Fail(Failure::new(cause, format!("{whom}: {text}"), retry))
}

/// The server is there and opens no WebSocket.
pub(super) fn refused(status: u16, whom: &str) -> Failure {
    let (cause, retry, text) = match status {
        401 | 403 => (Cause::Unauthorized, Retry::Never, "access is denied"),
        404 => (Cause::NotFound, BUSY, "there is no such application"),
        429 | 503 => (Cause::Busy, BUSY, "the server is busy or still starting"),
        _ => (
            Cause::BadAnswer,
            Retry::Soon,
            "this is no Ant Media server's socket",
        ),
    };
    Failure::new(cause, format!("{whom}: {text} (HTTP {status})"), retry)
}

/// What the connection knows of its end.
pub(super) fn why(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Unreachable(text) | Trouble::Tls(text) | Trouble::Garbage(text)
            if !text.is_empty() =>
        {
            format!(": {}", quoted(text))
        }
        _ => String::new(),
    }
}
