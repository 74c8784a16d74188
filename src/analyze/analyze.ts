import { gatewayApiKinds } from "../api/gateway/index.ts";
import { istioKinds } from "../api/istio/index.ts";
import { rolloutKinds } from "../api/serin/index.ts";
import { withFieldTypes } from "../base/field-types/index.ts";
import { withoutNulls } from "../base/index.ts";
import { analyzers } from "./analyzers/index.ts";
import { Inventory, type InventoryOptions } from "./inventory.ts";
import { kubernetesFields, metadataFields } from "./kubernetes-fields.ts";
import { levels } from "./level.ts";
import type { Message } from "./message.ts";
import { groupKindOf, nameOf, namespaceOf, type Resource } from "./resource.ts";

export interface AnalysisOptions extends InventoryOptions {
  /** Reports only on this namespace, on objects without one, and on all objects in files. Absent means all. */
  readonly namespace?: string | undefined;
  /** Whether to leave out objects in files too if they are in another namespace. */
  readonly onlyNamespace?: boolean | undefined;
  readonly defaultNamespace: string;
  readonly suppressions?: readonly Suppression[] | undefined;
  /** The names of the analyzers to run. Absent or empty means all. */
  readonly only?: readonly string[] | undefined;
}

/** Suppresses the messages with this code about resources that match. */
export interface Suppression {
  readonly code: string;
  /** `Kind name.namespace` or `Kind namespace/name`. `*` matches any text. */
  readonly resource: string;
}

const suppressAnnotation = "galley.istio.io/analyze-suppress";
const clusterKinds = new Set([
  "Namespace",
  "Node",
  "GatewayClass",
  "CustomResourceDefinition",
  "MutatingWebhookConfiguration",
  "ValidatingWebhookConfiguration",
  "Freeze",
  "MeshUpgrade",
]);

/**
 * The messages of all analyzers, without duplicates. They are sorted by severity, then by code, kind, name and text. If
 * several resources have the same name, only the last is analysed, as if all had been applied in order.
 */
export function analyze(resources: readonly Resource[], options: AnalysisOptions): readonly Message[] {
  const inventory = new Inventory(
    latest(resources.map((resource) => inNamespace(asStored(resource), options.defaultNamespace))),
    options,
  );
  const messages = new Map<string, Message>();
  for (const analyzer of analyzers) {
    if (options.only !== undefined && options.only.length > 0 && !options.only.includes(analyzer.name)) continue;
    analyzer.analyze(inventory, (type, resource, path, text) => {
      const message: Message = { type, resource, path, text };
      if (isWanted(message, resource, options)) messages.set(orderOf(message), message);
    });
  }
  return [...messages].toSorted(([left], [right]) => (left < right ? -1 : 1)).map(([, message]) => message);
}

/** The groups whose kinds have parsers. A parser reports a null in a field, so it is not replaced in these kinds. */
const parsedGroups = new Set([...istioKinds, ...gatewayApiKinds, ...rolloutKinds].map(({ group }) => group));

/**
 * Makes every field that analyzers read have the type that the API server guarantees. In a file, a field may be null
 * (`labels:` without a value), and a kustomize patch may lack a template or its containers.
 */
function asStored({ source, object }: Resource): Resource {
  const [group = ""] = groupKindOf(object).split("/");
  const isParsed = parsedGroups.has(group);
  const filled =
    source === undefined
      ? object
      : isParsed
        ? { ...object, metadata: withoutNulls(object.metadata) }
        : withoutNulls(object);
  const { value, faults } = withFieldTypes(filled, kubernetesFields.get(groupKindOf(object)) ?? metadataFields);
  return { source, object: value, faults };
}

function latest(resources: readonly Resource[]): readonly Resource[] {
  const byName = new Map<string | Resource, Resource>();
  for (const resource of resources) {
    const { metadata } = resource.object;
    const key =
      metadata.name === undefined
        ? resource
        : `${groupKindOf(resource.object)} ${metadata.namespace ?? ""}/${metadata.name}`;
    byName.delete(key);
    byName.set(key, resource);
  }
  return [...byName.values()];
}

/** Adds the default namespace to an object that names none, unless its kind is cluster-wide. */
function inNamespace(resource: Resource, namespace: string): Resource {
  const { object } = resource;
  if (object.metadata.namespace !== undefined || clusterKinds.has(object.kind ?? "")) return resource;
  return { ...resource, object: { ...object, metadata: { ...object.metadata, namespace } } };
}

function isWanted(
  { type }: Message,
  resource: Resource,
  { namespace, onlyNamespace = false, suppressions = [] }: AnalysisOptions,
): boolean {
  const own = namespaceOf(resource);
  if (namespace !== undefined && own !== "" && own !== namespace && (onlyNamespace || resource.source === undefined))
    return false;
  const onObject = (resource.object.metadata.annotations?.[suppressAnnotation] ?? "")
    .split(",")
    .map((code) => code.trim());
  if (onObject.includes("*") || onObject.includes(type.code)) return false;
  const { kind = "", metadata } = resource.object;
  const names = [
    nameOf(resource),
    `${kind} ${metadata.name ?? ""}${metadata.namespace === undefined ? "" : `.${metadata.namespace}`}`,
  ];
  return !suppressions.some(
    (suppression) => suppression.code === type.code && names.some((name) => fits(suppression.resource, name)),
  );
}

function fits(pattern: string, name: string): boolean {
  const parts = pattern.split("*").map((part) => part.replaceAll(/[\\^$.|?+()[\]{}]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join(".*")}$`).test(name);
}

function orderOf({ type, resource, path = "", text }: Message): string {
  const { kind = "", metadata } = resource?.object ?? { metadata: {} };
  return [
    levels.indexOf(type.level),
    type.code,
    kind,
    metadata.name,
    metadata.namespace,
    path.replaceAll(/\d+/g, (digits) => digits.padStart(6, "0")),
    text,
  ].join("\0");
}
