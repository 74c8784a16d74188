import assert from "node:assert/strict";
import { test } from "node:test";
import { createOutboundFixture } from "../../testing/outbound-fixture.ts";
import { config } from "../../testing/model-fixture.ts";

test("addresses that a control plane allocates reach proxies with their own DNS, in listeners, routes and the name table", () => {
  const { apply, serve } = createOutboundFixture();
  const entry = config("ServiceEntry", "shop/auto", {
    hosts: ["auto.example.com"],
    resolution: "DNS",
    ports: [
      { number: 6379, name: "tcp", protocol: "TCP" },
      { number: 80, name: "http", protocol: "HTTP" },
    ],
  });
  apply({
    ...entry,
    status: {
      addresses: [
        { value: "240.240.0.9", host: "auto.example.com" },
        { value: "2001:2::9", host: "auto.example.com" },
      ],
    },
  } as typeof entry);
  const capturing = serve({ dnsCapture: true });
  assert.deepEqual(
    Object.keys(capturing.listeners()).filter((name) => name.endsWith("_6379")),
    ["240.240.0.9_6379"],
  );
  const [host] = ((capturing.routes()["80"]?.["virtualHosts"] ?? []) as { domains: string[] }[]).filter(({ domains }) =>
    domains.includes("auto.example.com"),
  );
  assert.ok(host?.domains.includes("240.240.0.9"));
  assert.deepEqual(capturing.names()?.["table"], {
    "auto.example.com": { ips: ["240.240.0.9"], registry: "External" },
  });
  assert.deepEqual(
    Object.keys(serve().listeners()).filter((name) => name.endsWith("_6379")),
    ["0.0.0.0_6379"],
  );
});
