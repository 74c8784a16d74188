import assert from "node:assert/strict";
import { test } from "node:test";
import { serviceFacts } from "./service-facts.ts";

test("a protocol and a traffic distribution that are called like a function of JavaScript are unknown ones", () => {
  const ports = [
    { name: "constructor", port: 8081 },
    { name: "http", appProtocol: "constructor", port: 8082 },
  ];
  const annotations = { "networking.istio.io/traffic-distribution": "constructor" };
  const facts = serviceFacts({
    metadata: { name: "web", namespace: "shop", annotations },
    spec: { clusterIP: "10.96.0.1", ports },
  });
  assert.deepEqual(
    facts?.ports.map(({ appProtocol }) => appProtocol),
    ["unknown", "unknown"],
  );
  assert.equal(facts?.preference, "none");
});
