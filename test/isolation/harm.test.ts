import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack, AnySchema } from "@bufbuild/protobuf/wkt";
import { config } from "../../src/controlplane/testing/model-fixture.ts";
import { RouteConfigurationSchema } from "../../src/wire/envoy/index.ts";
import type { Snapshot } from "./attacked-mesh.ts";
import { formatFaults } from "./envoy-formats.ts";
import { harmOf } from "./harm.ts";

// Tests that the code that judges attacks finds each kind of harm.

const gateway = (status: string, reason: string, message: string): Snapshot =>
  new Map([
    [
      "status gatewayStatuses edge/door",
      { version: JSON.stringify({ conditions: [{ type: "Programmed", status, reason, message }] }) },
    ],
  ]);
const set = (port: number): object => ({
  parentRef: { name: "door", namespace: "edge" },
  listeners: [{ name: "a", port, protocol: "HTTP" }],
});

test("an attack that ends a gateway is harm, also by a set of listeners with another port", () => {
  const service = "ssigned to service(s) door-istio.edge.svc.cluster.local";
  const before = gateway("True", "Programmed", `Resource programmed, a${service}:80`);
  const after = gateway("False", "AddressNotAssigned", `A${service}:80, but port 81 is missing`);
  for (const object of [81, 80].map((port) => config("ListenerSet", "evil/a", set(port))))
    assert.match(harmOf(before, after, [object])[0] ?? "", /^status gatewayStatuses edge\/door has changed/);
});

test("a direct response may be as long as its table of routes allows", () => {
  const faults = (size: number, limit?: number): readonly string[] => {
    const routes = create(RouteConfigurationSchema, {
      name: "80",
      ...(limit === undefined ? {} : { maxDirectResponseBodySizeBytes: limit }),
      virtualHosts: [
        {
          name: "a",
          domains: ["*"],
          routes: [
            {
              action: {
                case: "directResponse",
                value: { status: 200, body: { specifier: { case: "inlineString", value: "a".repeat(size) } } },
              },
            },
          ],
        },
      ],
    });
    const any = toBinary(AnySchema, anyPack(RouteConfigurationSchema, routes));
    return formatFaults("route", { name: "80", any } as never);
  };
  assert.deepEqual(faults(4096), []);
  assert.deepEqual(faults(4097), ["80: a direct response of 4097 bytes"]);
  assert.deepEqual(faults(4097, 5000), []);
  assert.deepEqual(faults(5001, 5000), ["80: a direct response of 5001 bytes"]);
});
