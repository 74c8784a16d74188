//! Shows what the Rust SDK uses of its host: headers, bodies, properties, shared data, metrics, timers and calls.
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MetricType};
use std::time::Duration;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|_| -> Box<dyn RootContext> {
        Box::new(Root { config: String::new(), requests: 0, ticks: 0 })
    });
}}

struct Root {
    config: String,
    requests: u32,
    ticks: u32,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_vm_start(&mut self, _: usize) -> bool {
        log::info("the module starts");
        true
    }

    fn on_configure(&mut self, _: usize) -> bool {
        self.config = self
            .get_plugin_configuration()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default();
        self.requests = proxy_wasm::hostcalls::define_metric(MetricType::Counter, "rust_requests").unwrap();
        self.set_tick_period(Duration::from_millis(20));
        !self.config.contains("refuse")
    }

    fn on_tick(&mut self) {
        self.ticks += 1;
        self.set_shared_data("ticks", Some(self.ticks.to_string().as_bytes()), None).unwrap();
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream { config: self.config.clone(), requests: self.requests, body: 0 }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Stream {
    config: String,
    requests: u32,
    body: usize,
}

impl Context for Stream {
    fn on_http_call_response(&mut self, _: u32, _: usize, body_size: usize, _: usize) {
        let status = self.get_http_call_response_header(":status").unwrap_or_default();
        let body = self.get_http_call_response_body(0, body_size).unwrap_or_default();
        self.set_http_request_header("x-called", Some(&format!("{status} {}", String::from_utf8_lossy(&body))));
        self.resume_http_request();
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        proxy_wasm::hostcalls::increment_metric(self.requests, 1).unwrap();
        self.set_http_request_header("x-config", Some(&self.config));
        if let Some(path) = self.get_property(vec!["request", "path"]) {
            self.set_http_request_header("x-path", Some(&String::from_utf8_lossy(&path)));
        }
        let (ticks, _) = self.get_shared_data("ticks");
        self.set_http_request_header("x-ticks", Some(&String::from_utf8_lossy(&ticks.unwrap_or_default())));
        match self.get_http_request_header("x-do").as_deref() {
            Some("deny") => {
                self.send_http_response(403, vec![("x-by", "rust")], Some(b"denied by rust"));
                Action::Pause
            }
            Some("call") => {
                self.dispatch_http_call(
                    "callee",
                    vec![(":method", "GET"), (":path", "/asked"), (":authority", "callee.test")],
                    None,
                    vec![],
                    Duration::from_secs(5),
                )
                .unwrap();
                Action::Pause
            }
            Some("panic") => panic!("asked to panic"),
            Some("loop") => loop {
                std::hint::black_box(0);
            },
            _ => Action::Continue,
        }
    }

    fn on_http_request_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        self.body += body_size;
        if !end_of_stream {
            return Action::Pause;
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.set_http_response_header("content-length", None);
        self.add_http_response_header("x-by", "rust");
        Action::Continue
    }

    fn on_http_response_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        if !end_of_stream {
            return Action::Pause;
        }
        let body = self.get_http_response_body(0, body_size).unwrap_or_default();
        self.set_http_response_body(0, body_size, String::from_utf8_lossy(&body).to_uppercase().as_bytes());
        Action::Continue
    }
}

mod log {
    use proxy_wasm::types::LogLevel;
    pub fn info(text: &str) {
        proxy_wasm::hostcalls::log(LogLevel::Info, text).unwrap();
    }
}
