//! [`HttpClient`] over the platform's `fetch`: redirects are never followed (a followed one keeps
//! cookies and custom headers), bodies and time are bounded.

use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortSignal, Headers, ReadableStreamDefaultReader, RequestInit, RequestRedirect, Response,
    WorkerGlobalScope,
};

use super::platform::OnPlatform;
use crate::{
    app::ports::HttpClient,
    http::message::{HttpRequest, HttpResponse, TransportError},
};

impl<T: OnPlatform> HttpClient for T {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        exchange(&request).await.map_err(|failure| match failure {
            Failure::TooLarge => TransportError::TooLarge,
            Failure::Thrown(error) if is_timeout(&error) => TransportError::TimedOut,
            Failure::Thrown(_) => TransportError::Unreachable,
        })
    }
}

enum Failure {
    Thrown(JsValue),
    TooLarge,
}

impl From<JsValue> for Failure {
    fn from(error: JsValue) -> Self {
        Self::Thrown(error)
    }
}

async fn exchange(request: &HttpRequest) -> Result<HttpResponse, Failure> {
    let headers = Headers::new()?;
    for (name, value) in &request.headers {
        headers.set(name, value.expose())?;
    }
    let init = RequestInit::new();
    init.set_method(request.verb.as_str());
    init.set_headers(&headers);
    init.set_redirect(RequestRedirect::Manual);
    // The signal goes on bounding the body after the head has come.
    let timeout = u32::try_from(request.timeout.as_millis()).unwrap_or(u32::MAX);
    init.set_signal(Some(&AbortSignal::timeout_with_u32(timeout)));
    if let Some(body) = &request.body {
        init.set_body(&JsValue::from_str(body.expose()));
    }
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    let response: Response =
        JsFuture::from(scope.fetch_with_str_and_init(&request.url, &init)).await?.dyn_into()?;
    let headers = read_headers(&response.headers())?;
    let body = read_body(&response, request.max_bytes).await?;
    Ok(HttpResponse { status: response.status(), headers, body })
}

fn read_headers(headers: &Headers) -> Result<Vec<(String, String)>, JsValue> {
    let mut list = Vec::new();
    for entry in headers.entries() {
        let entry: js_sys::Array = entry?.unchecked_into();
        if let (Some(name), Some(value)) = (entry.get(0).as_string(), entry.get(1).as_string()) {
            list.push((name, value));
        }
    }
    Ok(list)
}

async fn read_body(response: &Response, max_bytes: usize) -> Result<Vec<u8>, Failure> {
    let Some(stream) = response.body() else { return Ok(Vec::new()) };
    let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
    let mut body = Vec::new();
    loop {
        let chunk = JsFuture::from(reader.read()).await?;
        if Reflect::get(&chunk, &JsValue::from_str("done"))?.is_truthy() {
            return Ok(body);
        }
        let bytes: Uint8Array = Reflect::get(&chunk, &JsValue::from_str("value"))?.dyn_into()?;
        if body.len().saturating_add(bytes.length() as usize) > max_bytes {
            let _cancelled = reader.cancel();
            return Err(Failure::TooLarge);
        }
        body.extend(bytes.to_vec());
    }
}

fn is_timeout(error: &JsValue) -> bool {
    Reflect::get(error, &JsValue::from_str("name"))
        .ok()
        .and_then(|name| name.as_string())
        .is_some_and(|name| name == "TimeoutError")
}
