import { BoundedCache } from "../../../base/index.ts";
import { createHash } from "node:crypto";
import type { OpenApiDocument } from "../contract.ts";
import type { CustomResource } from "../crd/custom-resource.ts";
import { readGenerated, readGeneratedBytes } from "../generated-data.ts";
import { isObject, objectOf, type JsonObject } from "../json.ts";
import { customDocumentV3, definitionsOf, dialectV2, metaPrefix, pathsOf } from "./custom-documents.ts";
import { encodeOpenApiV2 } from "./v2-protobuf.ts";

const jsonType = "application/json";
const protobufType = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/** A small document that refers to all of metav1's types that lists and objects need. */
const metaSource = "openapi-v3/apis__coordination.k8s.io__v1";
/** How many documents of custom resources are cached. A lab has some tens of group versions. */
const maxKept = 256;

/** The OpenAPI documents. Those of built-in kinds are the published ones, and those of CRDs are built on request. */
export class OpenApiDocuments {
  readonly #resources: () => readonly CustomResource[];
  readonly #kept = new BoundedCache<string, OpenApiDocument>(maxKept);
  #index: ReadonlyMap<string, string> | undefined;
  #metaSchemas: JsonObject | undefined;
  #builtInV2: Uint8Array | undefined;
  readonly #hashes = new WeakMap<CustomResource, string>();

  constructor(resources: () => readonly CustomResource[]) {
    this.#resources = resources;
  }

  /** Forgets the documents of custom resources. */
  changed(): void {
    this.#kept.clear();
  }

  v3Paths(): { path: string; hash: string }[] {
    const builtIn = [...this.#builtInIndex].map(([path, hash]) => ({ path, hash }));
    const custom = new Map<string, string>();
    for (const resource of this.#resources()) {
      for (const model of resource.models) {
        const path = `apis/${resource.group}/${model.type.version}`;
        custom.set(path, (custom.get(path) ?? "") + this.#hashOf(resource));
      }
    }
    return [...builtIn, ...[...custom].map(([path, text]) => ({ path, hash: hash(text) }))];
  }

  v3(path: string): OpenApiDocument | undefined {
    const builtIn = this.#builtInIndex.get(path);
    if (builtIn !== undefined)
      return {
        body: readGeneratedBytes(`openapi-v3/${path.replaceAll("/", "__")}`),
        contentType: jsonType,
        hash: builtIn,
      };
    const [root, group, version, ...rest] = path.split("/");
    if (root !== "apis" || version === undefined || rest.length > 0) return undefined;
    const resources = this.#resources().filter(
      (resource) => resource.group === group && resource.models.some((model) => model.type.version === version),
    );
    if (resources.length === 0) return undefined;
    const wanted = this.v3Paths().find((candidate) => candidate.path === path)?.hash ?? "";
    return this.#keep(`v3/${path}`, wanted, () => ({
      body: Buffer.from(JSON.stringify(customDocumentV3(resources, version, this.#meta()))),
      contentType: jsonType,
    }));
  }

  v2(protobuf: boolean): OpenApiDocument {
    const wanted = hash(
      this.#resources()
        .map((resource) => this.#hashOf(resource))
        .join(""),
    );
    return this.#keep(`v2/${protobuf ? "protobuf" : "json"}`, wanted, () =>
      protobuf ? this.#v2Protobuf() : this.#v2Json(),
    );
  }

  get #builtInIndex(): ReadonlyMap<string, string> {
    this.#index ??= new Map(Object.entries(readGenerated("openapi-v3-index") as Record<string, string>));
    return this.#index;
  }

  #hashOf(resource: CustomResource): string {
    let known = this.#hashes.get(resource);
    if (known === undefined) {
      known = hash(JSON.stringify([resource.name, resource.models.map((model) => [model.type, model.schema])]));
      this.#hashes.set(resource, known);
    }
    return known;
  }

  #keep(key: string, wanted: string, make: () => Omit<OpenApiDocument, "hash">): OpenApiDocument {
    const known = this.#kept.get(key);
    if (known?.hash === wanted) return known;
    const document = { ...make(), hash: wanted };
    this.#kept.set(key, document);
    return document;
  }

  /** metav1's schemas, which each document must contain. */
  #meta(): JsonObject {
    if (this.#metaSchemas === undefined) {
      const all = objectOf(objectOf(objectOf(readGenerated(metaSource)).components).schemas);
      this.#metaSchemas = Object.fromEntries(
        Object.entries(all).filter(([name, schema]) => name.startsWith(`${metaPrefix}.`) && isObject(schema)),
      );
    }
    return this.#metaSchemas;
  }

  #customV2(): JsonObject {
    const models = this.#resources().flatMap((resource) => resource.models);
    return {
      paths: Object.fromEntries(models.flatMap((model) => pathsOf(model, dialectV2))),
      definitions: Object.fromEntries(models.flatMap((model) => definitionsOf(model, dialectV2))),
    };
  }

  #v2Protobuf(): Omit<OpenApiDocument, "hash"> {
    this.#builtInV2 ??= encodeOpenApiV2(objectOf(readGenerated("openapi-v2")));
    return { body: Buffer.concat([this.#builtInV2, encodeOpenApiV2(this.#customV2())]), contentType: protobufType };
  }

  #v2Json(): Omit<OpenApiDocument, "hash"> {
    const document = objectOf(readGenerated("openapi-v2"));
    const custom = this.#customV2();
    for (const part of ["paths", "definitions"]) Object.assign(objectOf(document[part]), custom[part]);
    return { body: Buffer.from(JSON.stringify(document)), contentType: jsonType };
  }
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex").toUpperCase();
}
