import assert from "node:assert/strict";
import { test } from "node:test";
import { maskedConfig } from "./masked-config.ts";

test("secrets are masked wherever they are, and files, comments and everything else are shown", () => {
  const text = `# ours
scrape_configs:
  - job_name: a
    basic_auth: { username: u, password: hunter2 }
    bearer_token_file: /var/run/token
  - job_name: b
    authorization:
      credentials: |
        s3cret
    static_configs:
      - targets: [ "h:1" ]
remote_write:
  - url: https://user:hunter2@example.com/write
`;
  const masked = maskedConfig(text);
  for (const secret of ["hunter2", "s3cret"]) assert.ok(!masked.includes(secret), masked);
  for (const shown of ["# ours", "username: u", "/var/run/token", "https://user:<secret>@example.com/write"])
    assert.ok(masked.includes(shown), masked);
});

test("secrets in lists, in maps of headers and behind aliases are masked, and fields of the same names elsewhere are shown", () => {
  const text = `
scrape_configs:
  - job_name: a
    tls_config: &tls
      cert_file: /certs/tls.crt
      key: |
        hunter2 of a
    http_headers:
      X-Token: { secrets: [hunter2, "hunter2 too"], values: [shown-value], files: [/secret/file] }
    proxy_connect_header:
      Proxy-Authorization: [hunter2]
  - job_name: b
    tls_config: { <<: *tls, server_name: shown-name }
    static_configs: [{ targets: ["h:1"], labels: { key: shown-key } }]
  - job_name: c
    http_headers: { X-Key: { secrets: &secrets [hunter2] } }
    basic_auth: { username: u, password: *secrets }
    ovhcloud_sd_configs: [{ application_secret: hunter2, consumer_key: hunter2 }]
`;
  const masked = maskedConfig(text);
  assert.ok(!masked.includes("hunter2"), masked);
  for (const shown of [
    "/certs/tls.crt",
    "shown-value",
    "/secret/file",
    "Proxy-Authorization",
    "shown-name",
    "shown-key",
  ])
    assert.ok(masked.includes(shown), `${shown}:\n${masked}`);
});

test("an alias that contains itself is masked", () => {
  assert.ok(!maskedConfig("password: &a [hunter2, *a]\n").includes("hunter2"));
});

test("a configuration without secrets stays as it is written", () => {
  const text = 'scrape_configs:   [{job_name: "j"}] # spaces\n';
  assert.equal(maskedConfig(text), text);
});
