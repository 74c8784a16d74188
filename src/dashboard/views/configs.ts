import { isMap, isSeq, LineCounter, parseDocument, type Document } from "yaml";
import type { Condition, UntypedObject } from "../../api/index.ts";
import type { ConfigMessage, ConfigRow, ConfigsView, ConfigView } from "../../api/dashboard/index.ts";
import { configKey, type FoundMessage } from "./config-messages.ts";
import { serviceKeyOf } from "./concerning-configs.ts";
import { configRow, configRowKey, configRows } from "./config-rows.ts";
import type { Inventory } from "./inventory.ts";
import { manifestYaml } from "./manifest-yaml.ts";
import { isVisible, wantedNamespaces, type ViewInput, type VisibleNamespaces } from "./view-input.ts";

export interface ConfigParameters {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export function configsView(
  { atMs, sources, inventory, messages }: ViewInput,
  namespaces: string,
  visible: VisibleNamespaces,
): ConfigsView {
  const wanted = wantedNamespaces(namespaces, visible);
  // Cluster-scoped objects are visible to everybody. They are left out while namespaces are chosen.
  const shown = inventory.objects.configs.filter(({ metadata }) =>
    metadata.namespace === undefined ? namespaces === "" : isVisible(wanted, metadata.namespace),
  );
  return { head: { atMs, sources }, tables: { configs: configRows(shown, messages) } };
}

/** Finds an object in any version of its group. */
export function findConfig(
  { objects }: Inventory,
  { apiVersion, kind, namespace, name }: ConfigParameters,
): UntypedObject | undefined {
  const wanted = configKey({ apiVersion, kind, metadata: { namespace, name } });
  return objects.configs.find(
    (object) => object.kind === kind && object.metadata.name === name && configKey(object) === wanted,
  );
}

export function configView(
  { atMs, sources, inventory, messages }: ViewInput,
  object: UntypedObject,
  visible: VisibleNamespaces,
  mayWrite: boolean,
): ConfigView {
  const yaml = configYaml(object);
  const found = messages.byObject.get(configKey(object)) ?? [];
  const positions = new YamlPositions(yaml);
  const status = object["status"] as { readonly conditions?: readonly Condition[] } | undefined;
  return {
    head: {
      atMs,
      sources,
      row: configRow(object, messages),
      yaml,
      resourceVersion: object.metadata.resourceVersion ?? "",
      conditions: status?.conditions ?? [],
      mayWrite,
    },
    tables: {
      messages: Object.fromEntries(
        found.map((message, index) => [String(index).padStart(3, "0"), placed(message, positions)]),
      ),
      references: referencesOf(object, inventory, messages, visible),
    },
  };
}

/**
 * The object's YAML without metadata that only the API server writes. So an edit conflicts only with changes that
 * people make.
 */
export function configYaml(object: UntypedObject): string {
  const {
    uid: _uid,
    resourceVersion: _version,
    generation: _generation,
    creationTimestamp: _created,
    ...metadata
  } = object.metadata;
  return manifestYaml({ ...object, metadata });
}

function placed({ code, level, text, path }: FoundMessage, positions: YamlPositions): ConfigMessage {
  return { code, level, message: text, path, ...positions.of(path) };
}

class YamlPositions {
  readonly #lines = new LineCounter();
  readonly #document: Document;

  constructor(text: string) {
    this.#document = parseDocument(text, { lineCounter: this.#lines });
  }

  of(path: string): { readonly line: number; readonly column: number } {
    let node: unknown = this.#document.contents;
    let offset = 0;
    for (const part of path.matchAll(/[^.[\]]+/g)) {
      const [name] = part;
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => String(key) === name);
        const at = (pair?.key as { readonly range?: readonly number[] } | undefined)?.range?.[0];
        if (pair === undefined || at === undefined) break;
        offset = at;
        node = pair.value;
      } else if (isSeq(node)) {
        const item = node.items[Number(name)];
        const at = (item as { readonly range?: readonly number[] } | undefined)?.range?.[0];
        if (at === undefined) break;
        offset = at;
        node = item;
      } else break;
    }
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }
}

function referencesOf(
  object: UntypedObject,
  inventory: Inventory,
  messages: ViewInput["messages"],
  visible: VisibleNamespaces,
): Record<string, ConfigRow> {
  const own = namesIn(object);
  const ownKey = configKey(object);
  const ownNames = namesOf(object);
  const found = inventory.objects.configs.filter((other) => {
    if (configKey(other) === ownKey || !isVisible(visible, other.metadata.namespace ?? "")) return false;
    const others = namesIn(other);
    return namesOf(other).some((name) => own.has(name)) || ownNames.some((name) => others.has(name));
  });
  return Object.fromEntries(
    found.slice(0, maxReferences).map((other) => [configRowKey(other), configRow(other, messages)]),
  );
}

const maxReferences = 50;

/** The names under which other objects refer to this one: its kind and name, and for a DestinationRule its host. */
function namesOf({ kind = "", metadata, spec }: UntypedObject): readonly string[] {
  const home = metadata.namespace ?? "";
  const name = `${kind} ${home}/${metadata.name ?? ""}`;
  const host = (spec as { readonly host?: unknown } | undefined)?.host;
  return kind === "DestinationRule" && typeof host === "string" ? [name, hostName(host, home)] : [name];
}

function hostName(host: string, home: string): string {
  return `host ${serviceKeyOf(host, home)}`;
}

const names = new WeakMap<UntypedObject, ReadonlySet<string>>();

function namesIn(object: UntypedObject): ReadonlySet<string> {
  let known = names.get(object);
  if (known === undefined) names.set(object, (known = collectNames(object)));
  return known;
}

function collectNames(object: UntypedObject): Set<string> {
  const home = object.metadata.namespace ?? "";
  const found = new Set<string>();
  const visit = (value: unknown, depth: number): void => {
    if (depth > 12 || typeof value !== "object" || value === null) return;
    if (Array.isArray(value)) {
      for (const item of value) visit(item, depth + 1);
      return;
    }
    const { kind, name, namespace = home, gateways, host } = value as Record<string, unknown>;
    if (typeof kind === "string" && typeof name === "string" && typeof namespace === "string")
      found.add(`${kind} ${namespace}/${name}`);
    if (Array.isArray(gateways))
      for (const gateway of gateways)
        if (typeof gateway === "string" && gateway !== "mesh")
          found.add(`Gateway ${gateway.includes("/") ? gateway : `${home}/${gateway}`}`);
    // The host of a DestinationRule is its own, and refers to no other object.
    if (typeof host === "string" && object.kind !== "DestinationRule") found.add(hostName(host, home));
    for (const part of Object.values(value)) visit(part, depth + 1);
  };
  visit(object["spec"], 0);
  // A Canary names routes in the fields of its target, without their kinds.
  const target = (
    object["spec"] as
      | { readonly target?: Record<string, { readonly name?: string; readonly namespace?: string } | undefined> }
      | undefined
  )?.target;
  for (const [field, kind] of [
    ["httpRoute", "HTTPRoute"],
    ["grpcRoute", "GRPCRoute"],
    ["virtualService", "VirtualService"],
  ] as const) {
    const named = target?.[field];
    if (named?.name !== undefined) found.add(`${kind} ${named.namespace ?? home}/${named.name}`);
  }
  return found;
}
