// Applies the corpus that also runs with real Envoys, but without an Envoy. Every case must change what it intends, and
// nothing else.
import assert from "node:assert/strict";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { JsonValue } from "@bufbuild/protobuf";
import { parseAllDocuments } from "yaml";
import type { KubernetesObject } from "../../api/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import {
  createExtensionFixture,
  showResource,
  type ProxyResources,
  type TestProxy,
} from "../testing/extension-fixture.ts";
import type { EncodedResource } from "../translate/index.ts";

const interop = join(import.meta.dirname, "../../../test/interop");
const corpus = join(interop, "envoy/corpus/extensions");
const golden = join(import.meta.dirname, "../translate/golden/extensions.json");

const proxies: Readonly<Record<string, TestProxy>> = {
  sidecar: { pod: "shop/client-1", labels: { app: "client", version: "v1" } },
  gateway: {
    type: "router",
    pod: "istio-system/istio-ingressgateway-1",
    labels: { app: "istio-ingressgateway", istio: "ingressgateway" },
  },
  waypoint: {
    type: "waypoint",
    pod: "mesh/waypoint-1",
    labels: {
      "gateway.networking.k8s.io/gateway-name": "waypoint",
      "gateway.networking.k8s.io/gateway-class-name": "istio-waypoint",
      "gateway.istio.io/managed": "istio.io-mesh-controller",
    },
  },
};
const shown = {
  cluster: typeUrls.cluster,
  listener: typeUrls.listener,
  route: typeUrls.route,
  extension: typeUrls.extensionConfig,
};
/** More lines than this would add no information. */
const maxLines = 40;

function read(path: string): readonly KubernetesObject[] {
  return parseAllDocuments(readFileSync(path, "utf8")).flatMap(
    (document) => (document.toJS() as KubernetesObject | null) ?? [],
  );
}

function modelled(objects: readonly KubernetesObject[]): readonly KubernetesObject[] {
  const mark = "2026-01-01T00:00:00Z";
  return objects
    .filter(
      ({ kind = "", metadata }) =>
        !["ConfigMap", "Secret", "ProxyConfig", "MutatingWebhookConfiguration"].includes(kind) &&
        !metadata.name?.endsWith("-token"),
    )
    .map((object) => ({ ...object, metadata: { ...object.metadata, creationTimestamp: mark, resourceVersion: "1" } }));
}

/** Each leaf of the value as a line `a.b[name].c = value`. */
function lines(value: JsonValue, path: string, found: Map<string, string>): Map<string, string> {
  if (Array.isArray(value)) {
    const seen = new Map<string, number>();
    for (const [index, item] of value.entries()) {
      const own =
        typeof item === "object" && item !== null && !Array.isArray(item) && typeof item["name"] === "string"
          ? item["name"]
          : String(index);
      const count = seen.get(own) ?? 0;
      seen.set(own, count + 1);
      lines(item, `${path}[${own}${count === 0 ? "" : `#${count}`}]`, found);
    }
  } else if (typeof value === "object" && value !== null)
    for (const [key, item] of Object.entries(value)) lines(item, path === "" ? key : `${path}.${key}`, found);
  else found.set(path, JSON.stringify(value));
  return found;
}

type Snapshot = ReadonlyMap<string, EncodedResource>;

function snapshot(proxy: ProxyResources): Snapshot {
  return new Map(
    Object.entries(shown).flatMap(([kind, typeUrl]) =>
      [...proxy.view(typeUrl).all()].map((resource) => [`${kind} ${resource.name}`, resource] as const),
    ),
  );
}

/** The changes between two snapshots, each only at its first occurrence. Removed resources are listed only by name. */
function difference(before: Snapshot, after: Snapshot): readonly string[] {
  const found: string[] = [];
  const elsewhere = new Map<string, number>();
  const tell = (sign: string, place: string, path: string, value: string): void => {
    const change = `${sign} ${path.replace(/filter_chains\[[^\]]*\]/, "filter_chains[*]").replace(/virtual_hosts\[[^\]]*\]/, "virtual_hosts[*]")} = ${value}`;
    const known = elsewhere.get(change);
    if (known !== undefined) found[known] = `${(found[known] ?? "").replace(/ …$/, "")} …`;
    else elsewhere.set(change, found.push(`${sign} ${place}${path} = ${value}`) - 1);
  };
  for (const place of before.keys()) if (!after.has(place)) found.push(`- ${place}`);
  for (const [place, resource] of after) {
    const old = before.get(place);
    if (old?.version === resource.version) continue;
    const [was, is] = [
      old === undefined ? new Map<string, string>() : lines(showResource(old), "", new Map()),
      lines(showResource(resource), "", new Map()),
    ];
    for (const [path, value] of was) if (is.get(path) !== value) tell("-", `${place}: `, path, value);
    for (const [path, value] of is) if (was.get(path) !== value) tell("+", `${place}: `, path, value);
  }
  return found.length > maxLines ? [...found.slice(0, maxLines), "…"] : found;
}

const extending = ["EnvoyFilter", "WasmPlugin", "TrafficExtension"];

test("each configuration of the corpus changes only its own resources, and leaves no change behind when it is deleted", () => {
  const found: Record<string, Record<string, readonly string[]>> = {};
  const fixture = createExtensionFixture();
  fixture.apply(...modelled(read(join(interop, "mesh/base.yaml"))));
  const connected = Object.entries(proxies).map(([name, proxy]) => [name, fixture.connect(proxy)] as const);
  const all = (): readonly Snapshot[] => connected.map(([, proxy]) => snapshot(proxy));
  const untouched = all();
  for (const file of globSync("*.yaml", { cwd: corpus }).toSorted()) {
    const objects = modelled(read(join(corpus, file)));
    const others = objects.filter(({ kind = "" }) => !extending.includes(kind));
    const extensions = objects.filter(({ kind = "" }) => extending.includes(kind));
    if (extensions.length === 0) continue;
    fixture.apply(...others);
    const before = all();
    fixture.apply(...extensions);
    const after = all();
    const changes = connected.map(
      ([name], index) => [name, difference(before[index] ?? new Map(), after[index] ?? new Map())] as const,
    );
    found[file.replace(/\.yaml$/, "")] = Object.fromEntries(changes.filter(([, list]) => list.length > 0));
    assert.deepEqual(fixture.logged, [], file);
    assert.ok(
      changes.some(([, list]) => list.length > 0),
      `${file} changes nothing`,
    );
    fixture.remove(...objects);
    assert.deepEqual(all().map(versions), untouched.map(versions), `${file} leaves something behind`);
  }
  if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(golden, `${JSON.stringify(found, undefined, 1)}\n`);
  assert.deepEqual(found, JSON.parse(readFileSync(golden, "utf8")));
});

function versions(resources: Snapshot): Readonly<Record<string, string>> {
  return Object.fromEntries([...resources].map(([place, { version }]) => [place, version]));
}
