// Generates generated/kubernetes/ from Kubernetes' published Go modules by `go mod download`.
//   node scripts/generate/kubernetes.ts
// The files are committed, so the product needs neither Go nor the network.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { GoTypes, type GoField } from "./go-types.ts";
import { moduleFolder } from "./module-folder.ts";

const kubernetesVersion = "v1.36.1";
const libraryVersion = "v0.36.1";
const target = join(import.meta.dirname, "../../generated/kubernetes");

/** The groups that a lab serves, each with its folder in k8s.io/api, in the order in which a real server lists them. */
const groups: readonly (readonly [group: string, folder: string, versions: readonly string[]])[] = [
  ["", "core", ["v1"]],
  ["apps", "apps", ["v1"]],
  ["events.k8s.io", "events", ["v1"]],
  ["authentication.k8s.io", "authentication", ["v1"]],
  ["authorization.k8s.io", "authorization", ["v1"]],
  ["autoscaling", "autoscaling", ["v2", "v1"]],
  ["batch", "batch", ["v1"]],
  ["certificates.k8s.io", "certificates", ["v1"]],
  ["networking.k8s.io", "networking", ["v1"]],
  ["policy", "policy", ["v1"]],
  ["rbac.authorization.k8s.io", "rbac", ["v1"]],
  ["storage.k8s.io", "storage", ["v1"]],
  ["admissionregistration.k8s.io", "admissionregistration", ["v1"]],
  ["apiextensions.k8s.io", "apiextensions", ["v1"]],
  ["scheduling.k8s.io", "scheduling", ["v1"]],
  ["coordination.k8s.io", "coordination", ["v1"]],
  ["node.k8s.io", "node", ["v1"]],
  ["discovery.k8s.io", "discovery", ["v1"]],
];

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type JsonObject = { [key: string]: Json };

function readJson(path: string): JsonObject {
  return JSON.parse(readFileSync(path, "utf8")) as JsonObject;
}

function object(value: Json | undefined): JsonObject {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
}

function list(value: Json | undefined): Json[] {
  return Array.isArray(value) ? value : [];
}

function text(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}

function write(name: string, value: Json): void {
  const plain = Buffer.from(JSON.stringify(value));
  const compressed = brotliCompressSync(plain, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_LGWIN]: 22,
      [constants.BROTLI_PARAM_SIZE_HINT]: plain.length,
    },
  });
  writeFileSync(join(target, `${name}.json.br`), compressed);
  console.log(`${name}: ${plain.length} bytes, ${compressed.length} compressed`);
}

const kubernetes = moduleFolder("k8s.io/kubernetes", kubernetesVersion);
const api = moduleFolder("k8s.io/api", libraryVersion);
const machinery = moduleFolder("k8s.io/apimachinery", libraryVersion);
const extensions = moduleFolder("k8s.io/apiextensions-apiserver", libraryVersion);

rmSync(target, { recursive: true, force: true });
mkdirSync(join(target, "openapi-v3"), { recursive: true });

function pathOf(group: string, version: string): string {
  return group === "" ? `api/${version}` : `apis/${group}/${version}`;
}

function writeDiscovery(): void {
  const core = object(readJson(join(kubernetes, "api/discovery/api__v1.json")));
  const aggregated = object(readJson(join(kubernetes, "api/discovery/aggregated_v2.json")));
  const resources: JsonObject[] = [];
  for (const entry of list(core.resources).map(object)) {
    const [plural = "", subresource] = text(entry.name).split("/");
    const kind = {
      group: entry.group ?? "",
      version: entry.version ?? (entry.group === undefined ? "v1" : ""),
      kind: entry.kind ?? "",
    };
    if (plural === "componentstatuses") continue;
    if (subresource === undefined) {
      resources.push(
        compactResource("", "v1", {
          ...entry,
          resource: plural,
          responseKind: kind,
          scope: entry.namespaced === true ? "Namespaced" : "Cluster",
          singularResource: entry.singularName ?? "",
        }),
      );
      continue;
    }
    const parent = resources.find((resource) => resource.plural === plural);
    if (parent === undefined) throw new Error(`no resource for ${text(entry.name)}`);
    parent.subresources = [...list(parent.subresources), { name: subresource, ...kind, verbs: entry.verbs ?? [] }];
  }
  for (const [group, , versions] of groups.slice(1)) {
    const found = list(aggregated.items)
      .map(object)
      .find((item) => object(item.metadata).name === group);
    for (const version of versions) {
      const served = list(found?.versions)
        .map(object)
        .find((item) => item.version === version);
      if (served === undefined) throw new Error(`no discovery for ${group}/${version}`);
      for (const entry of list(served.resources).map(object)) resources.push(compactResource(group, version, entry));
    }
  }
  write("resources", resources);
}

function compactResource(group: string, version: string, entry: JsonObject): JsonObject {
  const subresources = list(entry.subresources)
    .map(object)
    .map((subresource) => {
      const kind = object(subresource.responseKind);
      return {
        name: subresource.subresource ?? "",
        group: kind.group ?? "",
        version: kind.version ?? "",
        kind: kind.kind ?? "",
        verbs: subresource.verbs ?? [],
      };
    });
  return {
    group,
    version,
    kind: object(entry.responseKind).kind ?? "",
    plural: entry.resource ?? "",
    singular: entry.singularResource ?? "",
    shortNames: entry.shortNames ?? [],
    categories: entry.categories ?? [],
    namespaced: entry.scope === "Namespaced",
    verbs: entry.verbs ?? [],
    subresources,
  };
}

/** The component schemas of the published documents that the output includes, by name. */
const components = new Map<string, JsonObject>();

function writeOpenApiV3(): void {
  const index: JsonObject = {};
  const wanted = new Set([
    "api",
    "apis",
    "version",
    ...groups.flatMap(([group, , versions]) => [
      ...(group === "" ? [] : [`apis/${group}`]),
      ...versions.map((version) => pathOf(group, version)),
    ]),
  ]);
  for (const file of readdirSync(join(kubernetes, "api/openapi-spec/v3")).sort()) {
    const path = file.replace(/_openapi\.json$/, "").replaceAll("__", "/");
    if (!wanted.has(path)) continue;
    const published = readJson(join(kubernetes, "api/openapi-spec/v3", file));
    const document: JsonObject = { ...published, paths: withoutParameterTexts(object(published.paths)) };
    for (const [name, schema] of Object.entries(object(object(document.components).schemas)))
      components.set(name, object(schema));
    const name = `openapi-v3/${path.replaceAll("/", "__")}`;
    index[path] = createHash("sha512").update(JSON.stringify(document)).digest("hex").slice(0, 64).toUpperCase();
    write(name, document);
  }
  write("openapi-v3-index", index);
}

/**
 * Returns the paths without the descriptions of their parameters. Each operation repeats these, so they are half of a
 * document, and `kubectl apply` reads one document for each group and version.
 */
function withoutParameterTexts(paths: JsonObject): JsonObject {
  const short = (parameters: Json): Json =>
    list(parameters).map((parameter) => {
      const { description: _description, ...rest } = object(parameter);
      return rest;
    });
  const shortIn = (owner: JsonObject): JsonObject =>
    owner["parameters"] === undefined ? owner : { ...owner, parameters: short(owner["parameters"]) };
  return Object.fromEntries(
    Object.entries(paths).map(([path, item]) => [
      path,
      Object.fromEntries(
        Object.entries(shortIn(object(item))).map(([key, value]) => [
          key,
          key === "parameters" ? value : shortIn(object(value)),
        ]),
      ),
    ]),
  );
}

function writeOpenApiV2(): void {
  const document = readJson(join(kubernetes, "api/openapi-spec/swagger.json"));
  const served = groups.flatMap(([group, , versions]) => versions.map((version) => `/${pathOf(group, version)}/`));
  const exact = new Set([
    "/api/",
    "/apis/",
    "/version/",
    ...groups.flatMap(([group, , versions]) =>
      group === "" ? ["/api/v1/"] : [`/apis/${group}/`, ...versions.map((version) => `/apis/${group}/${version}/`)],
    ),
  ]);
  const paths: JsonObject = {};
  for (const [path, item] of Object.entries(object(document.paths))) {
    if (path.includes("/watch/")) continue;
    if (exact.has(path) || served.some((prefix) => path.startsWith(prefix))) paths[path] = item;
  }
  const all = object(document.definitions);
  const kept = new Set<string>();
  const keep = (name: string): void => {
    if (kept.has(name)) return;
    kept.add(name);
    for (const next of references(all[name] ?? null)) keep(next);
  };
  for (const name of references(paths)) keep(name);
  for (const name of references(object(document.parameters))) keep(name);
  const definitions = Object.fromEntries([...kept].sort().map((name) => [name, all[name] ?? null]));
  write("openapi-v2", { ...document, paths, definitions });
}

function references(value: Json): Set<string> {
  const names = new Set<string>();
  for (const [, name = ""] of JSON.stringify(value).matchAll(/"\$ref":"#\/definitions\/([^"]+)"/g)) names.add(name);
  return names;
}

function readGoTypes(): GoTypes {
  const types = new GoTypes();
  const prefixes: Record<string, string> = {
    "k8s.io/apimachinery/pkg/apis/meta/v1": "io.k8s.apimachinery.pkg.apis.meta.v1",
    "k8s.io/apimachinery/pkg/api/resource": "io.k8s.apimachinery.pkg.api.resource",
    "k8s.io/apimachinery/pkg/util/intstr": "io.k8s.apimachinery.pkg.util.intstr",
    "k8s.io/apimachinery/pkg/runtime": "io.k8s.apimachinery.pkg.runtime",
  };
  for (const [group, folder, versions] of groups) {
    if (group === "apiextensions.k8s.io") continue;
    for (const version of versions) prefixes[`k8s.io/api/${folder}/${version}`] = `io.k8s.api.${folder}.${version}`;
  }
  for (const [path, prefix] of Object.entries(prefixes)) {
    if (path.startsWith("k8s.io/api/")) types.addPackage(prefix, join(api, path.slice("k8s.io/api/".length)), prefixes);
  }
  types.addPackage("io.k8s.apimachinery.pkg.apis.meta.v1", join(machinery, "pkg/apis/meta/v1"), prefixes);
  types.addPackage(
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
    join(extensions, "pkg/apis/apiextensions/v1"),
    prefixes,
  );
  types.addAlias("types.UID", "string");
  types.addAlias("types.NodeName", "string");
  return types;
}

/** Types that requests may carry besides the resources themselves. */
const extraRoots: readonly (readonly [apiVersion: string, kind: string, type: string])[] = [
  ["v1", "DeleteOptions", "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"],
  ["v1", "Status", "io.k8s.apimachinery.pkg.apis.meta.v1.Status"],
  ["v1", "List", "io.k8s.apimachinery.pkg.apis.meta.v1.List"],
  ["v1", "PodTemplate", "io.k8s.api.core.v1.PodTemplate"],
  ["v1", "Binding", "io.k8s.api.core.v1.Binding"],
  ["v1", "SerializedReference", "io.k8s.api.core.v1.SerializedReference"],
  ["policy/v1", "Eviction", "io.k8s.api.policy.v1.Eviction"],
  ["autoscaling/v1", "Scale", "io.k8s.api.autoscaling.v1.Scale"],
  ["authentication.k8s.io/v1", "TokenRequest", "io.k8s.api.authentication.v1.TokenRequest"],
];

function writeTypes(): void {
  const types = readGoTypes();
  const kinds: JsonObject = {};
  const names: string[] = [];
  const indexes = new Map<string, number>();
  const use = (name: string): number => {
    const known = indexes.get(name);
    if (known !== undefined) return known;
    indexes.set(name, names.length);
    names.push(name);
    return names.length - 1;
  };
  for (const resource of JSON.parse(JSON.stringify(discovered())) as {
    group: string;
    version: string;
    kind: string;
  }[]) {
    const entry = groups.find(([group]) => group === resource.group);
    const prefix =
      resource.group === "apiextensions.k8s.io"
        ? "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions"
        : `io.k8s.api.${entry?.[1] ?? ""}`;
    const name = `${prefix}.${resource.version}.${resource.kind}`;
    const apiVersion = resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
    if (types.has(name)) kinds[`${apiVersion}/${resource.kind}`] = use(name);
    if (types.has(`${name}List`)) kinds[`${apiVersion}/${resource.kind}List`] = use(`${name}List`);
  }
  for (const [apiVersion, kind, name] of extraRoots) kinds[`${apiVersion}/${kind}`] = use(name);
  const table: Json[] = [];
  for (let index = 0; index < names.length; index++) {
    const name = names[index] ?? "";
    const schema = components.get(name) ?? {};
    const properties = object(schema.properties);
    const required = new Set(list(schema.required).map(String));
    const fields: Json[] = types
      .fieldsOf(name)
      .map((field) => fieldEntry(field, object(properties[field.name]), required.has(field.name), use));
    table.push(schema["x-kubernetes-map-type"] === "atomic" ? [fields, 1] : [fields]);
  }
  write("types", { names, kinds, types: table });
}

function discovered(): Json {
  const resources: Json[] = [];
  const aggregated = object(readJson(join(kubernetes, "api/discovery/aggregated_v2.json")));
  for (const entry of list(object(readJson(join(kubernetes, "api/discovery/api__v1.json"))).resources).map(object)) {
    if (!text(entry.name).includes("/")) resources.push({ group: "", version: "v1", kind: entry.kind ?? "" });
  }
  for (const [group, , versions] of groups) {
    const found = list(aggregated.items)
      .map(object)
      .find((item) => object(item.metadata).name === group);
    for (const served of list(found?.versions).map(object)) {
      if (!versions.includes(text(served.version))) continue;
      for (const entry of list(served.resources).map(object))
        resources.push({ group, version: served.version ?? "", kind: object(entry.responseKind).kind ?? "" });
    }
  }
  return resources;
}

/**
 * Returns an entry of a field table. Its flags are the sum of 1 for a pointer, 2 for a field that JSON leaves out when
 * it is zero, 4 for a required field, and 8 for an inline one. The fifth element is optional and holds rare properties.
 */
function fieldEntry(field: GoField, schema: JsonObject, required: boolean, use: (name: string) => number): Json {
  const type = field.type.replace(/#(.*)$/, (_, name: string) => `#${use(name)}`);
  const flags = (field.pointer ? 1 : 0) | (field.omitted ? 2 : 0) | (required ? 4 : 0) | (field.inline ? 8 : 0);
  const extra: JsonObject = {};
  const listType = schema["x-kubernetes-list-type"];
  if (listType === "map") extra.keys = schema["x-kubernetes-list-map-keys"] ?? [];
  if (listType === "set") extra.set = true;
  if (schema["x-kubernetes-map-type"] === "atomic") extra.atomic = true;
  if (schema["x-kubernetes-patch-strategy"] !== undefined) extra.strategy = schema["x-kubernetes-patch-strategy"];
  if (schema["x-kubernetes-patch-merge-key"] !== undefined) extra.mergeKey = schema["x-kubernetes-patch-merge-key"];
  const fallback = schema.default;
  if (fallback !== undefined && fallback !== "" && fallback !== 0 && fallback !== false && typeof fallback !== "object")
    extra.default = fallback;
  const entry: Json[] = [field.name, field.number, type, flags];
  return Object.keys(extra).length === 0 ? entry : [...entry, extra];
}

function writeReadme(): void {
  writeFileSync(
    join(target, "README.md"),
    `# Kubernetes' interface files, in compact form

Written by \`node scripts/generate/kubernetes.ts\` from the Go modules k8s.io/kubernetes ${kubernetesVersion}, k8s.io/api, k8s.io/apimachinery and
k8s.io/apiextensions-apiserver ${libraryVersion}. Never edited by hand. They are Copyright The Kubernetes Authors, licensed under the Apache License, Version 2.0
(https://www.apache.org/licenses/LICENSE-2.0); the data is rearranged and cut to the groups that the lab serves. All files are brotli-compressed JSON.

- \`resources\`: the served resources with verbs, short names, categories and subresources, in discovery order.
- \`openapi-v3/*\`, \`openapi-v3-index\`: one OpenAPI v3 document a group and version; path to hash.
- \`openapi-v2\`: one OpenAPI v2 document for all of them.
- \`types\`: \`names\`, \`kinds\` ("apps/v1/Deployment" to a type's index) and \`types\`: \`[fields, 1 where the whole is atomic in server-side apply]\`.
  A field is \`[JSON name, wire number, type, flags, extra]\`. Flags: 1 pointer, 2 left out of JSON when zero, 4 required, 8 inline in JSON.
  Types: s string, b bool, i int32, l int64, d double, y bytes, T time, M time with microseconds, D duration, Q quantity, I int or string, R any object,
  F field set, J any JSON, B schema or bool, A schema or list of them, P schema or list of strings, #n the type n; prefixes: [ list, w list that is a message on the wire, { map.
  Extra: keys (list map), set, atomic, strategy and mergeKey (strategic merge patch), default.
`,
  );
}

writeDiscovery();
writeOpenApiV3();
writeOpenApiV2();
writeTypes();
writeReadme();
