import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../../api/index.ts";
import { FileAccessLogSchema } from "../../../wire/envoy/index.ts";
import type { PolicySubject } from "../../model/authorization-selection.ts";
import { meshKey, type MeshSettings } from "../../model/facts.ts";
import { config, createModelFixture, testMesh } from "../../testing/model-fixture.ts";
import { TelemetryPolicies, type ProxyTelemetry } from "./telemetry-policies.ts";
import type { TelemetrySide } from "./telemetry-provider.ts";

const fileLog = (name: string): MeshSettings["extensionProviders"][number] => ({
  kind: "access-log-file",
  name,
  settings: { path: `/${name}`, text: "", hasFormat: false, omitEmptyValues: false },
});
const mesh: MeshSettings = {
  ...testMesh,
  extensionProviders: ["mesh", "shop", "web", "wp", "target", "other"].map(fileLog),
};
const logging = (key: string, provider: string, more: object = {}): KubernetesObject =>
  config("Telemetry", key, { accessLogging: [{ providers: [{ name: provider }] }], ...more });

/** A derivation reads the collections, as in the product. */
function telemetryOf(
  objects: readonly KubernetesObject[],
  subject: PolicySubject,
  side: TelemetrySide = "inbound",
  settings = mesh,
): ProxyTelemetry {
  const { graph, inputs, apply } = createModelFixture();
  const policies = new TelemetryPolicies(inputs);
  const found = graph.derive("telemetry-of", inputs.mesh, (value, reader) => [
    ["only", { telemetry: policies.telemetryFor(subject, side, value, reader) }],
  ]);
  apply(...objects);
  inputs.mesh.set(meshKey, settings);
  graph.settle();
  const { telemetry } = found.get("only") ?? {};
  assert.ok(telemetry);
  return telemetry;
}

function pathsOf({ accessLogs }: ProxyTelemetry): readonly string[] {
  return accessLogs.map(({ configType }) =>
    configType?.case === "typedConfig"
      ? fromBinary(FileAccessLogSchema, configType.value.value as Uint8Array).path
      : "",
  );
}

const web: PolicySubject = { namespace: "shop", labels: { app: "web" } };
const root = logging("istio-system/root", "mesh");
const wide = logging("shop/wide", "shop");

test("the workload's Telemetry overrides the namespace's and the mesh's, and a selector in the root namespace covers only that namespace", () => {
  const own = logging("shop/own", "web", { selector: { matchLabels: { app: "web" } } });
  const elsewhere = logging("istio-system/elsewhere", "other", { selector: { matchLabels: { app: "web" } } });
  assert.deepEqual(pathsOf(telemetryOf([root], web)), ["/mesh"]);
  assert.deepEqual(pathsOf(telemetryOf([root, wide, elsewhere], web)), ["/shop"]);
  assert.deepEqual(pathsOf(telemetryOf([root, wide, own], web)), ["/web"]);
  assert.deepEqual(pathsOf(telemetryOf([root, wide, own], { namespace: "shop", labels: { app: "other" } })), ["/shop"]);
  assert.deepEqual(pathsOf(telemetryOf([root, wide], { namespace: "far", labels: {} })), ["/mesh"]);
});

test("gateways and waypoints select Telemetry by targets; a waypoint also uses those of its namespaces, and of its service first", () => {
  const target = (kind: string, name: string, group: string): object => ({ targetRefs: [{ kind, name, group }] });
  const ofGateway = logging("edge/gateway", "target", target("Gateway", "web", "gateway.networking.k8s.io"));
  const gateway: PolicySubject = { namespace: "edge", labels: {}, gateway: { name: "web", className: "istio" } };
  assert.deepEqual(pathsOf(telemetryOf([root, ofGateway], gateway, "gateway")), ["/target"]);
  assert.deepEqual(
    pathsOf(telemetryOf([root, ofGateway], { ...gateway, gateway: { name: "api", className: "istio" } }, "gateway")),
    ["/mesh"],
  );
  const service = { kind: "Service" as const, namespace: "shop", name: "web" };
  const waypoint: PolicySubject = {
    namespace: "infra",
    labels: {},
    gateway: { name: "wp", className: "istio-waypoint" },
    waypoint: true,
    services: [service],
  };
  assert.deepEqual(pathsOf(telemetryOf([root, logging("infra/wide", "wp")], waypoint, "waypoint")), ["/wp"]);
  assert.deepEqual(pathsOf(telemetryOf([root, logging("infra/wide", "wp"), wide], waypoint, "waypoint")), ["/shop"]);
  assert.deepEqual(
    pathsOf(
      telemetryOf([root, wide, logging("shop/service", "target", target("Service", "web", ""))], waypoint, "waypoint"),
    ),
    ["/target"],
  );
});

test("a Telemetry of a service's namespace sets no standard label in the metrics of another namespace's waypoint", () => {
  const service = { kind: "Service" as const, namespace: "shop", name: "web" };
  const waypoint: PolicySubject = {
    namespace: "infra",
    labels: {},
    gateway: { name: "wp", className: "istio-waypoint" },
    waypoint: true,
    services: [service],
  };
  const settings: MeshSettings = { ...mesh, extensionProviders: [{ kind: "prometheus", name: "prometheus" }] };
  const labels = (key: string, spec: object = {}): string => {
    const tagOverrides = {
      destination_service_name: { value: "'victim'" },
      "response-code": { value: "'500'" },
      destination_port: { value: "string(destination.port)" },
      source_version: { operation: "REMOVE" },
    };
    const metrics = [{ providers: [{ name: "prometheus" }], overrides: [{ tagOverrides }] }];
    const { stats } = telemetryOf([config("Telemetry", key, { metrics, ...spec })], waypoint, "waypoint", settings);
    const [filter] = stats("waypoint");
    return filter?.configType?.case === "typedConfig"
      ? Buffer.from(filter.configType.value.value ?? "").toString("latin1")
      : "";
  };
  const target = { targetRefs: [{ kind: "Service", name: "web", group: "" }] };
  const has = (text: string): readonly boolean[] =>
    ["victim", "response-code", "destination_port", "source_version"].map((label) => text.includes(label));
  assert.deepEqual(has(labels("shop/wide")), [false, false, true, true]);
  assert.deepEqual(has(labels("shop/target", target)), [false, false, true, true]);
  assert.deepEqual(has(labels("infra/wide")), [true, true, true, true]);
  assert.deepEqual(has(labels("istio-system/root")), [true, true, true, true]);
});

test("without a known provider the mesh config's own log is written, unless it is disabled", () => {
  const written = { ...mesh, accessLogFile: "/mesh-config" };
  assert.deepEqual(pathsOf(telemetryOf([logging("shop/wide", "nobody")], web, "inbound", written)), ["/mesh-config"]);
  const off = config("Telemetry", "shop/wide", { accessLogging: [{ providers: [{ name: "shop" }], disabled: true }] });
  assert.deepEqual(pathsOf(telemetryOf([off], web, "inbound", written)), []);
  assert.deepEqual(
    pathsOf(
      telemetryOf(
        [root, config("Telemetry", "shop/wide", { accessLogging: [{ disabled: true, match: { mode: "SERVER" } }] })],
        web,
        "outbound",
      ),
    ),
    ["/mesh"],
  );
});

test("one side's metrics can be disabled for the mesh and enabled again for a namespace", () => {
  const off = config("Telemetry", "istio-system/root", {
    metrics: [{ overrides: [{ match: { mode: "SERVER" }, disabled: true }] }],
  });
  const on = config("Telemetry", "shop/wide", {
    metrics: [{ overrides: [{ match: { metric: "REQUEST_COUNT", mode: "SERVER" }, disabled: false }] }],
  });
  const counts = (objects: readonly KubernetesObject[], side: TelemetrySide): number =>
    telemetryOf(objects, web, side).stats("server").length;
  assert.deepEqual([counts([off], "inbound"), counts([off], "outbound"), counts([off, on], "inbound")], [0, 1, 1]);
});

test("a custom metric keeps its name, whatever it is", () => {
  const named = config("Telemetry", "shop/wide", {
    metrics: [{ overrides: [{ match: { customMetric: "constructor" }, disabled: true }] }],
  });
  const [filter] = telemetryOf([named], web, "inbound").stats("server");
  const packed = filter?.configType?.case === "typedConfig" ? filter.configType.value.value : undefined;
  assert.ok(Buffer.from(packed ?? []).includes("constructor"));
});
