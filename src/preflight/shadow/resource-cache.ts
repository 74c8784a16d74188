import { createHash } from "node:crypto";
import { isTree, stringOf } from "../../base/index.ts";
import { fromBinary, toJson, type DescMessage } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import { NameTableSchema } from "../../wire/discovery/index.ts";
import {
  ClusterLoadAssignmentSchema,
  ClusterSchema,
  envoyRegistry,
  ListenerSchema,
  RouteConfigurationSchema,
} from "../../wire/envoy/index.ts";
import { AddressSchema, AuthorizationSchema } from "../../wire/workload/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { neutral, type Side } from "../compare/neutral.ts";
import { isList, type Json } from "../tree-diff.ts";

export const extensionType = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";

const schemas: Readonly<Record<string, { readonly word: string; readonly schema?: DescMessage }>> = {
  [typeUrls.cluster]: { word: "cluster", schema: ClusterSchema },
  [typeUrls.listener]: { word: "listener", schema: ListenerSchema },
  [typeUrls.endpoint]: { word: "endpoints", schema: ClusterLoadAssignmentSchema },
  [typeUrls.route]: { word: "route", schema: RouteConfigurationSchema },
  [typeUrls.nameTable]: { word: "name table", schema: NameTableSchema },
  [typeUrls.address]: { word: "address", schema: AddressSchema },
  [typeUrls.authorization]: { word: "authorization", schema: AuthorizationSchema },
  [extensionType]: { word: "extension" },
};

/** The word for resources of a type, such as `cluster`. */
export function wordOf(typeUrl: string): string {
  return schemas[typeUrl]?.word ?? typeUrl;
}

/** A resource in a form that can be compared, and the names of the resources that a proxy requests because of it. */
export interface CachedResource {
  readonly name: string;
  readonly resource: Json;
  readonly endpoints: readonly string[];
  readonly routes: readonly string[];
  readonly extensions: readonly string[];
}

/**
 * Resources by their bytes. Most proxies of a mesh get the same resources from both releases, so each is decoded and
 * held once: equal resources are one object.
 */
export class ResourceCache {
  readonly #side: Side;
  readonly #known = new Map<string, CachedResource>();

  /** In texts, a word replaces the versions of this side. */
  constructor(side: Side) {
    this.#side = side;
  }

  read(typeUrl: string, bytes: Uint8Array): CachedResource {
    const key = `${wordOf(typeUrl)} ${digestOf(bytes)}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const schema = schemas[typeUrl]?.schema;
    const raw = schema === undefined ? { digest: digestOf(bytes) } : decode(schema, bytes);
    const isListener = typeUrl === typeUrls.listener;
    const read = {
      name: nameIn(raw),
      resource: neutral(withoutChance(raw), this.#side),
      endpoints: typeUrl === typeUrls.cluster ? endpointNames(raw) : [],
      routes: isListener ? namesBelow(raw, "rds", "route_config_name") : [],
      extensions: isListener ? extensionNames(raw) : [],
    };
    this.#known.set(key, read);
    return read;
  }
}

/**
 * Converts a message to JSON with Envoy's field names. If the message contains a type that is unknown here, the JSON
 * also has a digest of its bytes.
 */
export function decode(schema: DescMessage, bytes: Uint8Array): Json {
  const known = envoyRegistry();
  const unknown = new Set<string>();
  const registry: typeof known = Object.create(known, {
    getMessage: {
      value: (name: string) => {
        const found = known.getMessage(name);
        if (found === undefined) unknown.add(name);
        return found ?? EmptySchema;
      },
    },
  }) as typeof known;
  const json = toJson(schema, fromBinary(schema, bytes), { registry, useProtoFieldName: true }) as Json;
  if (unknown.size === 0 || !isTree(json)) return json;
  return { ...json, undecoded: { types: [...unknown].toSorted(), digest: digestOf(bytes) } };
}

function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function nameIn(resource: Json): string {
  return isTree(resource) ? stringOf(resource["name"] ?? resource["cluster_name"]) : "";
}

function endpointNames(cluster: Json): string[] {
  if (!isTree(cluster) || cluster["type"] !== "EDS") return [];
  const config = cluster["eds_cluster_config"];
  const service = isTree(config) ? config["service_name"] : undefined;
  const name = cluster["name"];
  if (typeof service === "string" && service !== "") return [service];
  return typeof name === "string" ? [name] : [];
}

/** The values of `field` in every object that is in a field `parent`, at any depth. */
function namesBelow(value: Json, parent: string, field: string): string[] {
  if (isList(value)) return value.flatMap((element) => namesBelow(element, parent, field));
  if (!isTree(value)) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const name = key === parent && isTree(inner) ? inner[field] : undefined;
    return [...(typeof name === "string" ? [name] : []), ...namesBelow(inner, parent, field)];
  });
}

function extensionNames(value: Json): string[] {
  if (isList(value)) return value.flatMap(extensionNames);
  if (!isTree(value)) return [];
  const own = value["config_discovery"] === undefined || typeof value["name"] !== "string" ? [] : [value["name"]];
  return [...own, ...Object.values(value).flatMap(extensionNames)];
}

/**
 * Sorts the endpoints, and removes keys that a control plane fetches from other servers. The order and the keys depend
 * on the moment, not on the release.
 */
function withoutChance(value: Json): Json {
  if (isList(value)) return value.map(withoutChance);
  if (!isTree(value)) return value;
  const kept = Object.entries(value).filter(([field]) => field !== "local_jwks");
  return Object.fromEntries(
    kept.map(([field, inner]): [string, Json] => [
      field,
      field === "lb_endpoints" ? inOneOrder(withoutChance(inner)) : withoutChance(inner),
    ]),
  );
}

function inOneOrder(list: Json): Json {
  if (!isList(list)) return list;
  const keyed = list.map((element) => ({ key: JSON.stringify(element), element }));
  return keyed.toSorted((left, right) => (left.key < right.key ? -1 : 1)).map(({ element }) => element);
}
