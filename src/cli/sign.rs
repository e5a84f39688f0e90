//! `quotary sign`: signs a request of client software as the API asks for it (RFC 9421), for trying things with curl.

use axum::http::{HeaderMap, Method, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use quotary_api::client_signature::{HmacKey, RequestToSign, sign_request};
use quotary_commands::clock;
use quotary_commands::vault::random;

use super::Failure;

#[derive(Args)]
pub struct Sign {
    /// The project's `api_key_id`.
    #[arg(long, env = "QUOTARY_API_KEY_ID")]
    api_key_id: String,
    /// The project's `api_secret`.
    #[arg(long, env = "QUOTARY_API_SECRET", hide_env_values = true)]
    api_secret: String,
    /// The method.
    #[arg(long, default_value = "POST")]
    method: Method,
    /// The whole URL.
    url: Uri,
    /// The body.
    #[arg(default_value = "")]
    body: String,
}

impl Sign {
    #[expect(clippy::print_stdout, reason = "this is the command's output")]
    pub fn run(self) -> Result<(), Failure> {
        let key = HmacKey::new(self.api_secret.as_bytes())?;
        let nonce = URL_SAFE_NO_PAD.encode(random::<16>()?.as_ref());
        let request = RequestToSign {
            method: &self.method,
            uri: &self.url,
            headers: &HeaderMap::new(),
            body: self.body.as_bytes(),
            extra_components: &[],
        };
        let signed = sign_request(&request, &self.api_key_id, &key, clock::now().timestamp(), &nonce)?;
        let mut headers = HeaderMap::new();
        signed.apply(&mut headers);
        println!("url = \"{}\"\nrequest = \"{}\"\nheader = \"content-type: application/json\"", self.url, self.method);
        for (name, value) in &headers {
            println!("header = \"{name}: {}\"", escaped(value.to_str()?));
        }
        println!("header = \"accept-signature: sig1=(\\\"@status\\\" \\\"content-digest\\\")\"");
        println!("data-raw = \"{}\"", escaped(&self.body));
        Ok(())
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
