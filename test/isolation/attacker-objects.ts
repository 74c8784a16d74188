// Random objects in an attacker's namespaces that the API server and the webhook accept.
import type { KubernetesObject, UntypedObject } from "../../src/api/index.ts";
import { istioAnnotations, istioLabels } from "../../src/api/istio/index.ts";
import type { StructuralSchema } from "../../src/cluster/schema/crd/structural-schema.ts";
import { aim } from "./aim.ts";
import type { Admission } from "./admission.ts";
import { referencedKinds, secretNames } from "./attacker-secrets.ts";
import type { AttackerKind } from "./built-in-kinds.ts";
import { drawFrom, type Draw } from "./draw.ts";
import { extensionValues, fractions, textFor, wholeNumbers } from "./nasty-values.ts";
import { attackerNamespaces } from "./victim-mesh.ts";

/** Below this depth, only required fields are added. */
const maxDepth = 12;
/** How often faulty fields are removed before an object is given up. */
const maxRepairs = 15;

/** A random object of the kind that admission accepts. Undefined if its faults could not be removed. */
export function attackerObject(admission: Admission, kind: AttackerKind, seed: number): KubernetesObject | undefined {
  const draw = drawFrom(seed);
  const examples = admission.examples.get(`${kind.group}/${kind.kind}`) ?? [];
  const fromExample = examples.length > 0 && draw.chance(0.65);
  let object = fromExample ? changedExample(draw.of(examples), kind, draw) : objectBySchema(kind, draw);
  if (draw.chance(0.6)) aim(object, draw);
  for (let repair = 0; repair < maxRepairs; repair += 1) {
    const answer = admission.admit(object);
    if ("object" in answer) return withServerFields(answer.object);
    const repaired = structuredClone(object);
    for (const path of new Set(answer.faults)) removeAt(repaired, path);
    if (JSON.stringify(object) === JSON.stringify(repaired)) return undefined;
    object = repaired;
  }
  return undefined;
}

const versionOf = ({ group, version }: AttackerKind): string => (group === "" ? version : `${group}/${version}`);

/** The example with random values in some of its fields, and with some further fields. */
function changedExample(example: UntypedObject, kind: AttackerKind, draw: Draw): UntypedObject {
  const { labels = {}, annotations = {} } = example.metadata;
  const own = metadataOf(draw, kind);
  const object: UntypedObject & Record<string, unknown> = {
    ...structuredClone(example),
    apiVersion: versionOf(kind),
    metadata: { ...own, labels: { ...labels, ...own.labels }, annotations: { ...annotations, ...own.annotations } },
  };
  const share = draw.of([0.03, 0.1, 0.3]);
  for (const [name, schema] of fieldsOf(kind)) {
    const value = object[name];
    if (typeof value === "object" && value !== null) changeFields(value, { schema, name }, draw, share);
  }
  return object;
}

function fieldsOf({ schema }: AttackerKind): readonly (readonly [string, StructuralSchema])[] {
  return Object.entries(schema.properties ?? {}).filter(
    ([name]) => !["apiVersion", "kind", "metadata", "status"].includes(name),
  );
}

interface Field {
  readonly schema: StructuralSchema;
  readonly name: string;
}

function changeFields(value: object, { schema, name }: Field, draw: Draw, share: number): void {
  const parts = value as Record<string, unknown>;
  for (const [key, part] of Object.entries(parts)) {
    const of = Array.isArray(value)
      ? { schema: schema.items, name }
      : { schema: schema.properties?.[key] ?? schema.additionalProperties, name: key };
    if (typeof of.schema !== "object") continue;
    const inner = { schema: of.schema, name: of.name };
    const isNested = typeof part === "object" && part !== null;
    if (isNested && !draw.chance(share / 6)) changeFields(part, inner, draw, share);
    else if (isNested || draw.chance(share * 1.5)) parts[key] = valueOf(inner, draw, 6);
  }
  if (Array.isArray(value)) {
    const items: unknown[] = value;
    if (items.length > 0 && draw.chance(share / 3)) items.push(structuredClone(draw.of(items)));
    return;
  }
  const missing = Object.entries(schema.properties ?? {}).filter(([key]) => !(key in parts));
  if (missing.length === 0 || !draw.chance(share)) return;
  const [added, of] = draw.of(missing);
  parts[added] = valueOf({ schema: of, name: added }, draw, 4);
}

function objectBySchema(kind: AttackerKind, draw: Draw): UntypedObject {
  const fields = fieldsOf(kind).map(([name, schema]) => [name, valueOf({ schema, name }, draw, 0)] as const);
  return {
    apiVersion: versionOf(kind),
    kind: kind.kind,
    metadata: metadataOf(draw, kind),
    ...Object.fromEntries(fields),
  };
}

const labelNames = [...Object.values(istioLabels), "app", "istio", "version"];
const labelValues = [
  "web",
  "ingressgateway",
  "ingress",
  "wp",
  "shared",
  "edge",
  "door",
  "ambient",
  "v1",
  "none",
  "true",
  "false",
  "all",
  "service",
  "istio-waypoint",
  "http",
  "istio",
  "network-2",
  "",
  "a".repeat(63),
];
const annotationNames = [
  ...Object.values(istioAnnotations),
  "networking.istio.io/exportTo",
  "networking.istio.io/service-type",
];
const names = ["web", "default", "public", "door", "wp", "cart", "mail", "out", "evil-1", "evil-2", "a".repeat(63)];

const isReferenced = (kind: string): boolean => referencedKinds.some((one) => one.kind === kind);

function metadataOf(draw: Draw, { kind }: AttackerKind): UntypedObject["metadata"] {
  const labels: Record<string, string> = {};
  const annotations: Record<string, string> = {};
  while (draw.chance(0.35)) labels[draw.of(labelNames)] = draw.of(labelValues);
  while (draw.chance(0.25)) annotations[draw.of(annotationNames)] = textFor("annotation", draw);
  return {
    name: draw.of(kind === "Pod" ? ["pod-8", "pod-9"] : isReferenced(kind) ? secretNames : names),
    namespace: draw.of(attackerNamespaces),
    labels,
    annotations,
    // Younger than the objects of the victims.
    creationTimestamp: "2026-06-01T00:00:00Z",
    generation: 1,
    uid: `uid-${draw.below(1e9)}`,
    resourceVersion: String(draw.below(1e9)),
  };
}

function valueOf({ schema, name }: Field, draw: Draw, depth: number): unknown {
  if (schema.enum !== undefined && draw.chance(0.98)) return draw.of(schema.enum);
  if (schema["x-kubernetes-int-or-string"] === true)
    return draw.chance(0.7) ? draw.of(wholeNumbers) : textFor(name, draw);
  switch (schema.type) {
    case "object":
      return objectOf(schema, name, draw, depth);
    case "array": {
      const { items = {}, minItems = 0 } = schema;
      const length = minItems + (draw.chance(0.1) ? 0 : 1 + (draw.chance(0.3) ? draw.below(3) : 0));
      return Array.from({ length }, () => valueOf({ schema: items, name }, draw, depth + 1));
    }
    case "string":
      return textFor(name, draw, schema.format);
    case "integer":
      return draw.chance(schema.maximum === undefined ? 0.5 : 0.1)
        ? draw.of(wholeNumbers)
        : boundedNumber(schema, draw);
    case "number":
      return draw.of([...fractions, ...wholeNumbers]);
    case "boolean":
      return draw.chance(0.5);
    default:
      return draw.of(extensionValues);
  }
}

function boundedNumber({ minimum = 0, maximum = 65_535 }: StructuralSchema, draw: Draw): number {
  return draw.of([minimum, maximum, minimum + 1, 80, 443, 9000]);
}

function objectOf(schema: StructuralSchema, name: string, draw: Draw, depth: number): unknown {
  const { properties, additionalProperties, required = [] } = schema;
  if (properties === undefined) {
    if (typeof additionalProperties !== "object") return draw.of(extensionValues);
    const entry = (): [string, unknown] => [
      textFor(`${name}Key`, draw),
      valueOf({ schema: additionalProperties, name: `${name}Value` }, draw, depth + 1),
    ];
    return Object.fromEntries(Array.from({ length: 1 + draw.below(2) }, entry));
  }
  const all = Object.entries(properties);
  const share = Math.min(0.8, (depth > 5 ? 1.5 : 2.5) / Math.max(1, all.length));
  const chosen = all.filter(([key]) => required.includes(key) || (depth < maxDepth && draw.chance(share)));
  return Object.fromEntries(
    (chosen.length > 0 || all.length === 0 ? chosen : [draw.of(all)]).map(([key, inner]) => [
      key,
      valueOf({ schema: inner, name: key }, draw, depth + 1),
    ]),
  );
}

/** Removes the value at a path such as `spec.http[0].match`, or if it does not exist the nearest value around it. */
function removeAt(object: UntypedObject, path: string): void {
  const chain: (readonly [holder: object, key: string])[] = [];
  let value: unknown = object;
  for (const key of path.match(/[^.[\]]+/g) ?? []) {
    if (typeof value !== "object" || value === null) break;
    chain.push([value, key]);
    value = (value as Record<string, unknown>)[key];
  }
  // A missing field means that the value around it is wrong.
  while (chain.length > 1 && chain.at(-1)?.[1] !== undefined && !hasKey(chain.at(-1))) chain.pop();
  const [holder, key] = chain.length > 1 ? (chain.at(-1) ?? [object, "spec"]) : lastFieldOf(object);
  if (Array.isArray(holder)) holder.splice(Number(key), 1);
  else Reflect.deleteProperty(holder, key);
}

function hasKey(link: readonly [holder: object, key: string] | undefined): boolean {
  return link !== undefined && link[1] in link[0];
}

function lastFieldOf(object: UntypedObject & { readonly spec?: unknown }): readonly [holder: object, key: string] {
  const spec = typeof object.spec === "object" && object.spec !== null ? object.spec : {};
  return [spec, Object.keys(spec).at(-1) ?? ""];
}

function withServerFields(object: UntypedObject): KubernetesObject {
  const { status: _status, ...rest } = object as UntypedObject & { status?: unknown; spec?: { clusterIP?: string } };
  const { metadata, spec } = rest;
  switch (object.kind) {
    case "EndpointSlice":
      return {
        ...rest,
        metadata: { ...metadata, labels: { ...metadata.labels, "kubernetes.io/service-name": "web" } },
      };
    case "Service": {
      const address = spec?.clusterIP === "None" ? "None" : "10.96.9.9";
      return { ...rest, spec: { ...spec, clusterIP: address, clusterIPs: [address] } } as KubernetesObject;
    }
    case "Pod": {
      const ip = metadata.name === "pod-8" ? "10.244.9.8" : "10.244.9.9";
      const conditions = [{ type: "Ready", status: "True" }];
      return { ...rest, status: { phase: "Running", podIP: ip, podIPs: [{ ip }], conditions } } as KubernetesObject;
    }
    default:
      return rest;
  }
}
