import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import type { UntypedObject } from "../../src/api/index.ts";
import { renderInstall, resolveSettings } from "../../src/install/index.ts";

interface Monitor {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly selector: { readonly matchLabels?: Readonly<Record<string, string>> };
    readonly endpoints?: readonly { readonly port?: string }[];
    readonly podMetricsEndpoints?: readonly { readonly port?: string; readonly relabelings?: readonly Relabeling[] }[];
  };
}

interface Relabeling {
  readonly sourceLabels: readonly string[];
  readonly regex?: string;
  readonly replacement?: string;
  readonly targetLabel?: string;
}

interface Ports {
  readonly ports?: readonly { readonly name?: string }[];
  readonly template?: {
    readonly metadata: UntypedObject["metadata"];
    readonly spec: { readonly containers: readonly { readonly ports?: readonly { readonly name?: string }[] }[] };
  };
}

const monitors = parseAllDocuments(
  readFileSync(join(import.meta.dirname, "../../samples/addons/extras/prometheus-operator.yaml"), "utf8"),
).map((document) => document.toJS() as Monitor);

function installed(): readonly UntypedObject[] {
  const { value } = resolveSettings({ specs: [{ profile: "ambient" }] }, { hub: "h", tag: "1" });
  assert.ok(value);
  return renderInstall(value, { istio: [], rollout: [] }).components.flatMap(({ objects }) => objects);
}

/** Returns the labels of the object that a monitor selects by, and the names of its ports. */
function target({ kind, metadata, spec }: UntypedObject): {
  labels: Readonly<Record<string, string>>;
  ports: unknown[];
} {
  const { ports = [], template } = (spec ?? {}) as Ports;
  if (kind === "Service") return { labels: metadata.labels ?? {}, ports: ports.map(({ name }) => name) };
  return {
    labels: template?.metadata.labels ?? {},
    ports: (template?.spec.containers ?? []).flatMap((container) => (container.ports ?? []).map(({ name }) => name)),
  };
}

test("the monitors for a Prometheus operator find the ports of what an installation makes", () => {
  const objects = installed();
  const named = monitors.flatMap(({ kind, metadata, spec }) =>
    [...(spec.endpoints ?? []), ...(spec.podMetricsEndpoints ?? [])].flatMap(({ port }) =>
      port === undefined ? [] : [{ kind, name: metadata.name, labels: spec.selector.matchLabels ?? {}, port }],
    ),
  );
  assert.deepEqual(
    named.map(({ name }) => name),
    ["istiod", "serin-rollout"],
  );
  for (const { kind, name, labels, port } of named) {
    const found = objects
      .filter((object) => (kind === "ServiceMonitor") === (object.kind === "Service"))
      .map(target)
      .filter((each) => Object.entries(labels).every(([key, value]) => each.labels[key] === value));
    assert.ok(
      found.some(({ ports }) => ports.includes(port)),
      `${name}: no port ${port}`,
    );
  }
});

/**
 * Returns the address that the rules give a pod. As in Prometheus, it is from the last rule that matches the whole
 * text.
 */
function addressOf(ip: string, port: string): string | undefined {
  const labels: Readonly<Record<string, string>> = {
    __meta_kubernetes_pod_ip: ip,
    __meta_kubernetes_pod_annotation_prometheus_io_port: port,
  };
  const rules = monitors
    .flatMap(({ spec }) => spec.podMetricsEndpoints ?? [])
    .flatMap(({ relabelings = [] }) => relabelings)
    .filter(({ targetLabel }) => targetLabel === "__address__");
  let address: string | undefined;
  for (const { sourceLabels, regex = "", replacement = "" } of rules) {
    const match = new RegExp(`^(?:${regex})$`).exec(sourceLabels.map((label) => labels[label] ?? "").join(";"));
    if (match !== null) address = replacement.replaceAll(/\$(\d)/g, (_, group: string) => match[Number(group)] ?? "");
  }
  return address;
}

test("the monitor of proxies computes addresses of pods with IPv4 and with IPv6", () => {
  assert.equal(addressOf("10.244.1.7", "15020"), "10.244.1.7:15020");
  assert.equal(addressOf("fd00:10:244::7", "15020"), "[fd00:10:244::7]:15020");
  assert.equal(addressOf("::1", "15020"), "[::1]:15020");
  assert.equal(addressOf("10.244.1.7", ""), undefined);
});
