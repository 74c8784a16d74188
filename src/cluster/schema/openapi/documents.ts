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
/** A small document that contains all types of meta.k8s.io that lists and objects need. */
const metaSource = "openapi-v3/apis__coordination.k8s.io__v1";
/** The maximum number of cached documents of custom resources. A lab has some tens of group versions. */
const maxKept = 256;

/** The resources from which a custom document is built, and the hash of the document's body. */
interface HashedPath {
  readonly resources: readonly CustomResource[];
  readonly hash: string;
}

/**
 * The OpenAPI documents. Those of built-in kinds are Kubernetes' published ones. Those of CRDs are built on request.
 */
export class OpenApiDocuments {
  readonly #resources: () => readonly CustomResource[];
  readonly #kept = new BoundedCache<string, OpenApiDocument>(maxKept);
  #index: ReadonlyMap<string, string> | undefined;
  #metaSchemas: JsonObject | undefined;
  #builtInV2: Uint8Array | undefined;
  /**
   * The hashes of custom documents by path, as of the last index. The next index reuses them, because most changes
   * affect few documents.
   */
  #hashedPaths: ReadonlyMap<string, HashedPath> = new Map();

  constructor(resources: () => readonly CustomResource[]) {
    this.#resources = resources;
  }

  changed(): void {
    this.#kept.clear();
  }

  v3Paths(): { path: string; hash: string }[] {
    const builtIn = [...this.#builtInIndex].map(([path, hash]) => ({ path, hash }));
    const resourcesByPath = new Map<string, CustomResource[]>();
    for (const resource of this.#resources()) {
      for (const { type } of resource.models) {
        const path = `apis/${resource.group}/${type.version}`;
        const resources = resourcesByPath.get(path);
        if (resources === undefined) resourcesByPath.set(path, [resource]);
        else resources.push(resource);
      }
    }
    this.#hashedPaths = new Map(
      [...resourcesByPath].map(([path, resources]) => [path, this.#hashedPath(path, resources)]),
    );
    return [...builtIn, ...[...this.#hashedPaths].map(([path, { hash }]) => ({ path, hash }))];
  }

  /** Builds a document and hashes it. If its resources have not changed, returns the previous hash. */
  #hashedPath(path: string, resources: readonly CustomResource[]): HashedPath {
    const known = this.#hashedPaths.get(path);
    if (
      known?.resources.length === resources.length &&
      known.resources.every((resource, index) => resource === resources[index])
    )
      return known;
    return { resources, hash: hash(this.#customV3(resources, path.slice(path.lastIndexOf("/") + 1))) };
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
    return this.#keep(`v3/${path}`, jsonType, () => this.#customV3(resources, version));
  }

  v2(protobuf: boolean): OpenApiDocument {
    return protobuf
      ? this.#keep("v2/protobuf", protobufType, () => this.#v2Protobuf())
      : this.#keep("v2/json", jsonType, () => this.#v2Json());
  }

  get #builtInIndex(): ReadonlyMap<string, string> {
    this.#index ??= new Map(Object.entries(readGenerated("openapi-v3-index") as Record<string, string>));
    return this.#index;
  }

  #keep(key: string, contentType: string, build: () => Uint8Array): OpenApiDocument {
    const known = this.#kept.get(key);
    if (known !== undefined) return known;
    const body = build();
    const document = { body, contentType, hash: hash(body) };
    this.#kept.set(key, document);
    return document;
  }

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

  #customV3(resources: readonly CustomResource[], version: string): Uint8Array {
    return Buffer.from(JSON.stringify(customDocumentV3(resources, version, this.#meta())));
  }

  #v2Protobuf(): Uint8Array {
    this.#builtInV2 ??= encodeOpenApiV2(objectOf(readGenerated("openapi-v2")));
    return Buffer.concat([this.#builtInV2, encodeOpenApiV2(this.#customV2())]);
  }

  #v2Json(): Uint8Array {
    const document = objectOf(readGenerated("openapi-v2"));
    const custom = this.#customV2();
    for (const part of ["paths", "definitions"]) Object.assign(objectOf(document[part]), custom[part]);
    return Buffer.from(JSON.stringify(document));
  }
}

/**
 * Hashes the body itself and not the CRD, because another release of Serin may build another document from the same
 * CRD.
 */
function hash(body: Uint8Array): string {
  return createHash("sha256").update(body).digest("hex").toUpperCase();
}
