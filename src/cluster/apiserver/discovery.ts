import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { apiVersionOf, type ResourceType, type SchemaRegistry, type SubresourceType } from "../schema/contract.ts";

export interface DiscoveryDocument {
  readonly body: Buffer;
  readonly contentType: string;
  readonly etag: string | undefined;
}

interface Group {
  readonly name: string;
  readonly versions: Map<string, ResourceType[]>;
}

/**
 * Describes the served resources in two forms: as one document (aggregated discovery v2), or as one list for each group
 * and version for older clients.
 */
export class Discovery {
  readonly #registry: SchemaRegistry;
  readonly #address: () => string;
  #generation = -1;
  #groups = new Map<string, Group>();
  #documents = new Map<string, DiscoveryDocument>();

  /** `address` returns the `host:port` at which clients reach the server. */
  constructor(registry: SchemaRegistry, address: () => string) {
    this.#registry = registry;
    this.#address = address;
  }

  /**
   * Answers `/api`, `/apis`, `/apis/<group>`, `/api/v1` and `/apis/<group>/<version>`. Returns undefined for other
   * paths.
   */
  answer(path: string, request: IncomingMessage): DiscoveryDocument | undefined {
    this.#refresh();
    const trimmed = path.replace(/\/$/, "");
    const aggregated = (trimmed === "/api" || trimmed === "/apis") && wantsAggregated(request.headers.accept ?? "");
    const key = `${trimmed}${aggregated ? " aggregated" : ""}`;
    let document = this.#documents.get(key);
    if (document !== undefined) return document;
    const value = aggregated ? this.#aggregated(trimmed === "/api") : this.#plain(trimmed);
    if (value === undefined) return undefined;
    const body = Buffer.from(JSON.stringify(value));
    const etag = aggregated ? `"${createHash("sha512").update(body).digest("hex").toUpperCase()}"` : undefined;
    document = { body, contentType: aggregated ? aggregatedType : "application/json", etag };
    this.#documents.set(key, document);
    return document;
  }

  #refresh(): void {
    if (this.#generation === this.#registry.generation) return;
    this.#generation = this.#registry.generation;
    this.#documents = new Map();
    this.#groups = new Map();
    for (const type of this.#registry.resources()) {
      let group = this.#groups.get(type.group);
      if (group === undefined) this.#groups.set(type.group, (group = { name: type.group, versions: new Map() }));
      const list = group.versions.get(type.version);
      if (list === undefined) group.versions.set(type.version, [type]);
      else list.push(type);
    }
  }

  #plain(path: string): unknown {
    const [, root, ...rest] = path.split("/");
    if (root === "api") {
      if (rest.length === 0) {
        const serverAddressByClientCIDRs = [{ clientCIDR: "0.0.0.0/0", serverAddress: this.#address() }];
        return { kind: "APIVersions", versions: ["v1"], serverAddressByClientCIDRs };
      }
      return rest.length === 1 ? this.#resourceList("", rest[0] ?? "") : undefined;
    }
    if (root !== "apis") return undefined;
    const [name = "", version = ""] = rest;
    if (rest.length === 0)
      return {
        kind: "APIGroupList",
        apiVersion: "v1",
        groups: [...this.#groups.values()].filter((group) => group.name !== "").map(groupOf),
      };
    if (name === "") return undefined;
    if (rest.length === 2) return this.#resourceList(name, version);
    const group = rest.length === 1 ? this.#groups.get(name) : undefined;
    return group === undefined ? undefined : { kind: "APIGroup", apiVersion: "v1", ...groupOf(group) };
  }

  #resourceList(name: string, version: string): unknown {
    const types = this.#groups.get(name)?.versions.get(version);
    if (types === undefined) return undefined;
    const groupVersion = name === "" ? version : `${name}/${version}`;
    return {
      kind: "APIResourceList",
      ...(name === "" ? {} : { apiVersion: "v1" }),
      groupVersion,
      resources: types.flatMap((type) => [
        plainResource(type),
        ...type.subresources.map((subresource) => plainSubresource(type, subresource)),
      ]),
    };
  }

  #aggregated(core: boolean): unknown {
    const groups = [...this.#groups.values()].filter((group) => (group.name === "") === core);
    const items = groups.map((group) => ({
      metadata: { ...(group.name === "" ? {} : { name: group.name }), creationTimestamp: null },
      versions: [...group.versions].map(([version, types]) => ({
        version,
        resources: types.map(aggregatedResource),
        freshness: "Current",
      })),
    }));
    return { kind: "APIGroupDiscoveryList", apiVersion: "apidiscovery.k8s.io/v2", metadata: {}, items };
  }
}

const aggregatedType = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/** Whether the client accepts aggregated discovery v2. Clients with only v2beta1 get the plain lists. */
function wantsAggregated(accept: string): boolean {
  return accept
    .split(",")
    .some(
      (part) =>
        part.includes("as=APIGroupDiscoveryList") &&
        /;\s*v=v2(;|$|\s)/.test(part) &&
        part.trim().startsWith("application/json"),
    );
}

function groupOf(group: Group): object {
  const versions = [...group.versions.keys()].map((version) => ({ groupVersion: `${group.name}/${version}`, version }));
  return { name: group.name, versions, preferredVersion: versions[0] };
}

function optional(name: string, values: readonly string[]): object {
  return values.length === 0 ? {} : { [name]: values };
}

function plainResource(type: ResourceType): unknown {
  const { plural, singular, namespaced, kind, verbs, shortNames, categories } = type;
  const storageVersionHash = createHash("sha256")
    .update(`${type.storageKey.split("/")[0] ?? ""}/${type.storageVersion}/${kind}`)
    .digest()
    .subarray(0, 8)
    .toString("base64");
  const isStored = verbs.includes("get");
  return {
    name: plural,
    singularName: singular,
    namespaced,
    kind,
    verbs,
    ...optional("shortNames", shortNames),
    ...optional("categories", categories),
    ...(isStored ? { storageVersionHash } : {}),
  };
}

function plainSubresource(type: ResourceType, { name, group, version, kind, verbs }: SubresourceType): unknown {
  const own = apiVersionOf(type) === apiVersionOf({ group, version }) || (group === "" && version === "");
  return {
    name: `${type.plural}/${name}`,
    singularName: "",
    namespaced: type.namespaced,
    ...(own ? {} : { group, version }),
    kind,
    verbs,
  };
}

function aggregatedResource(type: ResourceType): unknown {
  const subresources = type.subresources.map(({ name, group, version, kind, verbs }) => ({
    subresource: name,
    responseKind: { group, version, kind },
    verbs,
  }));
  return {
    resource: type.plural,
    responseKind: { group: type.group, version: type.version, kind: type.kind },
    scope: type.namespaced ? "Namespaced" : "Cluster",
    singularResource: type.singular,
    verbs: type.verbs,
    ...optional("shortNames", type.shortNames),
    ...optional("categories", type.categories),
    ...(subresources.length === 0 ? {} : { subresources }),
  };
}
