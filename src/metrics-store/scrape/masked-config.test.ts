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

test("a configuration without secrets stays as it is written", () => {
  const text = 'scrape_configs:   [{job_name: "j"}] # spaces\n';
  assert.equal(maskedConfig(text), text);
});
