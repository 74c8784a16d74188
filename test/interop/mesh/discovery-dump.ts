// Reads everything that a control plane sends to a node. It uses delta ADS, as the node's proxy does, and returns
// protobuf JSON.
import {
  create,
  fromBinary,
  toBinary,
  toJson,
  type DescMessage,
  type JsonValue,
  type Message,
} from "@bufbuild/protobuf";
import { AnySchema, StringValueSchema, type Any } from "@bufbuild/protobuf/wkt";
import { DiscoveryTestClient } from "../../../src/controlplane/serve/testing/discovery-client.ts";
import {
  ClusterLoadAssignmentSchema,
  ClusterSchema,
  envoyRegistry,
  ListenerSchema,
  RouteConfigurationSchema,
  SecretSchema,
} from "../../../src/wire/envoy/index.ts";
import { AddressSchema, AuthorizationSchema } from "../../../src/wire/workload/index.ts";
import { typeUrls } from "../../../src/wire/xds/index.ts";
import { nodeId, nodeMetadata, type MeshNode } from "./nodes.ts";

export type Json = JsonValue;
export type Dump = Readonly<Record<string, ReadonlyMap<string, Json>>>;

/** The version that the proxies report. */
export const proxyVersion = "1.31.0";
const answerMs = 60_000;

const schemas: Readonly<Record<string, { readonly url: string; readonly schema: DescMessage }>> = {
  clusters: { url: typeUrls.cluster, schema: ClusterSchema },
  endpoints: { url: typeUrls.endpoint, schema: ClusterLoadAssignmentSchema },
  listeners: { url: typeUrls.listener, schema: ListenerSchema },
  routes: { url: typeUrls.route, schema: RouteConfigurationSchema },
  secrets: { url: typeUrls.secret, schema: SecretSchema },
  addresses: { url: typeUrls.address, schema: AddressSchema },
  authorizations: { url: typeUrls.authorization, schema: AuthorizationSchema },
};

/** Reads everything from the plaintext port. */
export async function dumpNode(port: number, node: MeshNode): Promise<Dump> {
  const client = new DiscoveryTestClient("delta", `127.0.0.1:${port}`, nodeId(node), {
    metadata: nodeMetadata(node, proxyVersion) as Record<string, string>,
    userAgentName: node.role === "ztunnel" ? "" : "envoy",
  });
  try {
    return node.role === "ztunnel" ? await dumpAmbient(client) : await dumpProxy(client);
  } finally {
    client.close();
  }
}

type Client = DiscoveryTestClient<"delta">;

async function dumpAmbient(client: Client): Promise<Dump> {
  return {
    addresses: await subscribe(client, "addresses", ["*"]),
    authorizations: await subscribe(client, "authorizations", ["*"]),
  };
}

async function dumpProxy(client: Client): Promise<Dump> {
  const clusters = await subscribe(client, "clusters", []);
  const endpoints = await subscribe(
    client,
    "endpoints",
    [...clusters].flatMap(([name, cluster]) => (isOfEndpoints(cluster) ? [name] : [])),
  );
  const listeners = await subscribe(client, "listeners", []);
  const routes = await subscribe(client, "routes", [...new Set(textsAt([...listeners.values()], "routeConfigName"))]);
  // Secrets are left out, because a control plane sends them only to a proven identity. Clusters and listeners have the
  // names of those that proxies request.
  return { clusters, endpoints, listeners, routes };
}

function isOfEndpoints(cluster: Json): boolean {
  return (cluster as { type?: string }).type === "EDS";
}

function textsAt(value: Json, wanted: string): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => textsAt(item, wanted));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    key === wanted && typeof inner === "string" ? [inner] : textsAt(inner, wanted),
  );
}

/**
 * Without names, requests all resources of the type. With names, waits until each has arrived or is known to be absent.
 */
async function subscribe(client: Client, kind: string, names: readonly string[]): Promise<ReadonlyMap<string, Json>> {
  const { url, schema } = schemas[kind] ?? { url: "", schema: ClusterSchema };
  const found = new Map<string, Json>();
  if (kind !== "clusters" && kind !== "listeners" && names.length === 0) return found;
  client.send({ typeUrl: url, resourceNamesSubscribe: [...names] });
  const awaited = new Set(names[0] === "*" ? [] : names);
  const deadline = Date.now() + answerMs;
  for (;;) {
    const response = await within(client, deadline);
    if (response === undefined)
      throw new Error(`no answer to a request for ${kind}, or not all of it, within ${answerMs / 1000} s`);
    client.send({ typeUrl: response.typeUrl, responseNonce: response.nonce });
    if (response.typeUrl !== url) continue;
    for (const { name, resource } of response.resources) {
      awaited.delete(name);
      if (resource !== undefined) found.set(name, jsonOf(schema, resource));
    }
    for (const name of response.removedResources) awaited.delete(name);
    if (awaited.size === 0) return found;
  }
}

async function within(client: Client, deadline: number): Promise<Awaited<ReturnType<Client["next"]>> | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>(
    (resolve) => (timer = setTimeout(() => resolve(undefined), Math.max(0, deadline - Date.now()))),
  );
  try {
    return await Promise.race([client.next(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Decoded resources by their bytes, because one dump is nearly equal to the last. */
const decoded = new Map<string, Json>();

function jsonOf(schema: DescMessage, any: Any): Json {
  const key = Buffer.from(any.value).toString("latin1");
  let json = decoded.get(key);
  if (json === undefined) decoded.set(key, (json = decode(schema, any)));
  return json;
}

function decode(schema: DescMessage, any: Any): Json {
  const message = fromBinary(schema, any.value);
  const unknown: string[] = [];
  readable(message, unknown);
  const json = toJson(schema, message, { registry: envoyRegistry() });
  return unknown.length === 0 ? json : { ...(json as Record<string, Json>), $unknown: unknown.toSorted() };
}

/** Replaces configuration of an unknown type, which JSON cannot show, with the type's name and the bytes. */
function readable(value: unknown, unknown: string[]): void {
  if (Array.isArray(value)) for (const item of value) readable(item, unknown);
  else if (typeof value === "object" && value !== null && !(value instanceof Uint8Array)) {
    const message = value as Message & { $unknown?: readonly { readonly no: number }[] };
    for (const { no } of message.$unknown ?? []) unknown.push(`${message.$typeName} field ${no}`);
    if (message.$typeName === "google.protobuf.Any") readableAny(value as Any, unknown);
    else
      for (const [key, inner] of Object.entries(value))
        if (key !== "$typeName" && key !== "$unknown") readable(inner, unknown);
  }
}

function readableAny(any: Any, unknown: string[]): void {
  const schema = envoyRegistry().getMessage(any.typeUrl.slice(any.typeUrl.lastIndexOf("/") + 1));
  if (schema === undefined) {
    const text = `${any.typeUrl} ${Buffer.from(any.value)
      .toString("latin1")
      .replaceAll(/[^ -~]+/g, " ")}`;
    any.typeUrl = "type.googleapis.com/google.protobuf.StringValue";
    any.value = toBinary(StringValueSchema, create(StringValueSchema, { value: text }));
    return;
  }
  if (any.typeUrl === "" || schema.typeName === AnySchema.typeName) return;
  const message = fromBinary(schema, any.value);
  readable(message, unknown);
  any.value = toBinary(schema, message, { writeUnknownFields: false });
}
