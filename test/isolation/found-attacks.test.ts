import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "../../src/api/index.ts";
import { config } from "../../src/controlplane/testing/model-fixture.ts";
import { Range } from "./attack.ts";

const route: KubernetesObject = {
  ...config("HTTPRoute", "evil/time", {
    parentRefs: [{ name: "door", namespace: "edge" }],
    hostnames: ["evil.open.example.com"],
    rules: [
      {
        backendRefs: [{ name: "web", port: 80 }],
        filters: [
          {
            type: "ResponseHeaderModifier",
            responseHeaderModifier: { set: [{ name: "x-at", value: "%START_TIME(%E9999f)%" }] },
          },
        ],
      },
    ],
  }),
  apiVersion: "gateway.networking.k8s.io/v1",
};

/** Attacks that the search of isolation.property.test.ts has found, and that are mended. */
const attacks: Readonly<Record<string, KubernetesObject>> = {
  "a header with the time in an unknown format does not make a shared gateway refuse its routes": route,
  "a port of an entry may have the name of a property of all objects": config("ServiceEntry", "evil-ambient/port", {
    hosts: ["dns.example.com"],
    resolution: "DNS",
    ports: [{ number: 443, name: "constructor" }],
  }),
  "an endpoint that is a Unix socket is not refused": config("ServiceEntry", "evil/socket", {
    hosts: ["socket.example.com"],
    resolution: "STATIC",
    ports: [{ number: 80, name: "http" }],
    endpoints: [{ address: "unix:///var/run/a.sock" }],
  }),
};

for (const [title, object] of Object.entries(attacks))
  test(title, async () => {
    const range = await Range.open();
    assert.deepEqual(await range.faultsOf([object]), []);
  });
