import { groupVersionOf, type KubernetesObject, type ManagedFieldsEntry, type UntypedObject } from "../../api/index.ts";
import { invariant } from "../../base/index.ts";
import { FieldManager } from "./apply/field-manager.ts";
import type { TypedObject } from "./apply/updater.ts";
import { BuiltInModel } from "./built-in-model.ts";
import { BuiltInShapes } from "./built-in-shapes.ts";
import {
  apiVersionOf,
  SchemaFault,
  type ApplyRequest,
  type FieldError,
  type OpenApiDocument,
  type ResourceType,
  type SchemaRegistry,
  type TableColumn,
  type WriteOrigin,
} from "./contract.ts";
import { convertObject } from "./convert.ts";
import { parseCustomResource, type CustomResource } from "./crd/custom-resource.ts";
import { loadCel } from "./crd/cel/library.ts";
import { ProtobufDecoder } from "./decode-protobuf.ts";
import { readGenerated } from "./generated-data.ts";
import { OpenApiDocuments } from "./openapi/documents.ts";
import { applyJsonPatch } from "./patch/json-patch.ts";
import { applyMergePatch } from "./patch/merge-patch.ts";
import { applyStrategicMergePatch } from "./patch/strategic-merge-patch.ts";
import { isObject } from "./json.ts";
import { metricsTypes } from "./metrics-types.ts";
import { zeroObject } from "./normalise.ts";
import { type ResourceModel } from "./resource-model.ts";
import { isServed, servingErrors } from "./validation/custom-resource-definition.ts";

type GeneratedResource = Pick<
  ResourceType,
  | "group"
  | "version"
  | "kind"
  | "plural"
  | "singular"
  | "shortNames"
  | "categories"
  | "namespaced"
  | "verbs"
  | "subresources"
>;

/**
 * The paths of `replicas` and of the selector in all built-in kinds with `/scale`. The selector is an object, except in
 * a ReplicationController, where it is a map of labels.
 */
const scalePaths = {
  specReplicasPath: "spec.replicas",
  statusReplicasPath: "status.replicas",
  labelSelectorPath: "spec.selector",
} as const;
/** Where Events are stored. The Events of both groups are one resource, in the form of the core group. */
const storageOfEvents = { storageVersion: "v1", storageKey: "/events" } as const;

function builtInType(entry: GeneratedResource): ResourceType {
  const { group, plural, version, subresources } = entry;
  const storage =
    plural === "events"
      ? storageOfEvents
      : { storageVersion: group === "autoscaling" ? "v2" : version, storageKey: `${group}/${plural}` };
  const scalable = subresources.some(({ name }) => name === "scale");
  return {
    ...entry,
    listKind: `${entry.kind}List`,
    builtIn: true,
    ...storage,
    ...(scalable ? { scale: scalePaths } : {}),
  };
}

function keyOfType(group: string, version: string, plural: string): string {
  return `${group}/${version}/${plural}`;
}

export class Schemas implements SchemaRegistry {
  readonly #shapes = BuiltInShapes.load();
  readonly #decoder = new ProtobufDecoder(this.#shapes);
  readonly #builtIn: readonly ResourceType[];
  readonly #models = new Map<string, ResourceModel>();
  readonly #kinds = new Map<string, ResourceModel>();
  readonly #custom = new Map<string, CustomResource>();
  readonly #managers = new WeakMap<ResourceModel, FieldManager>();
  readonly #openApi = new OpenApiDocuments(() => [...this.#custom.values()]);
  #resources: readonly ResourceType[] | undefined;
  #versions: ReadonlyMap<string, readonly ResourceType[]> | undefined;
  #generation = 0;

  constructor() {
    const generated = (readGenerated("resources") as readonly GeneratedResource[]).map(builtInType);
    this.#builtIn = [...generated, ...metricsTypes];
    for (const type of this.#builtIn) this.#register(new BuiltInModel(type, this.#shapes));
  }

  /**
   * Loads the CEL evaluator in advance, which takes a tenth of a second. Otherwise the first custom resource with rules
   * would wait for it.
   */
  warmUp(): void {
    loadCel();
  }

  get generation(): number {
    return this.#generation;
  }

  resources(): readonly ResourceType[] {
    this.#resources ??= [
      ...this.#builtIn,
      ...[...this.#custom.values()]
        .sort((a, b) => (a.name < b.name ? -1 : 1))
        .flatMap((resource) => resource.models.map((model) => model.type)),
    ];
    return this.#resources;
  }

  versions(storageKey: string): readonly ResourceType[] {
    this.#versions ??= Map.groupBy(this.resources(), (type) => type.storageKey);
    return this.#versions.get(storageKey) ?? [];
  }

  resource(group: string, version: string, plural: string): ResourceType | undefined {
    return this.#models.get(keyOfType(group, version, plural))?.type;
  }

  resourceOfKind(group: string, version: string, kind: string): ResourceType | undefined {
    return this.#kinds.get(keyOfType(group, version, kind))?.type;
  }

  decodeProtobuf(body: Uint8Array): UntypedObject {
    return this.#decoder.decode(body);
  }

  dropUnknownFields(type: ResourceType, object: UntypedObject): readonly string[] {
    return this.#model(type).dropUnknownFields(object);
  }

  applyDefaults(type: ResourceType, object: UntypedObject): void {
    this.#model(type).applyDefaults(object);
  }

  validate(
    type: ResourceType,
    object: UntypedObject,
    old: UntypedObject | undefined,
    subresource = "",
  ): readonly FieldError[] {
    return this.#model(type).validate(object, old, subresource);
  }

  convert(object: UntypedObject, to: ResourceType): UntypedObject {
    return convertObject(object, to);
  }

  strategicMerge(type: ResourceType, original: UntypedObject, patch: unknown): UntypedObject {
    if (!type.builtIn) {
      throw new SchemaFault(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
      );
    }
    return applyStrategicMergePatch(this.#model(type).shape, original, patch) as UntypedObject;
  }

  mergePatch(original: UntypedObject, patch: unknown): UntypedObject {
    return objectResult(applyMergePatch(original, patch));
  }

  jsonPatch(original: UntypedObject, patch: unknown): UntypedObject {
    return objectResult(applyJsonPatch(original, patch));
  }

  serverSideApply({ type, live, applied, origin, force }: ApplyRequest): UntypedObject {
    return this.#fieldManager(type).apply(live, applied, origin, force);
  }

  updateManagedFields(
    type: ResourceType,
    live: UntypedObject | undefined,
    object: UntypedObject,
    origin: WriteOrigin,
  ): ManagedFieldsEntry[] {
    return this.#fieldManager(type).update(live, object, origin);
  }

  tableColumns(type: ResourceType): readonly TableColumn[] {
    return this.#model(type).columns();
  }

  tableCells(type: ResourceType, object: UntypedObject, nowMs: number): readonly unknown[] {
    return this.#model(type).cells(object, nowMs);
  }

  openApiV2(protobuf: boolean): OpenApiDocument {
    return this.#openApi.v2(protobuf);
  }

  openApiV3Paths(): readonly { readonly path: string; readonly hash: string }[] {
    return this.#openApi.v3Paths();
  }

  openApiV3(path: string): OpenApiDocument | undefined {
    return this.#openApi.v3(path);
  }

  addCustomResourceDefinition(definition: KubernetesObject): readonly FieldError[] {
    const errors = servingErrors(definition);
    if (errors.length > 0) return errors;
    this.removeCustomResourceDefinition(definition.metadata.name ?? "");
    if (!isServed(definition)) return [];
    const resource = parseCustomResource(definition, this.#shapes);
    this.#custom.set(resource.name, resource);
    for (const model of resource.models) this.#register(model);
    this.#changed();
    return [];
  }

  removeCustomResourceDefinition(name: string): void {
    const resource = this.#custom.get(name);
    if (resource === undefined) return;
    this.#custom.delete(name);
    for (const { type } of resource.models) {
      this.#models.delete(keyOfType(type.group, type.version, type.plural));
      this.#kinds.delete(keyOfType(type.group, type.version, type.kind));
    }
    this.#changed();
  }

  #changed(): void {
    this.#generation++;
    this.#resources = undefined;
    this.#versions = undefined;
    this.#openApi.changed();
  }

  #register(model: ResourceModel): void {
    const { group, version, plural, kind } = model.type;
    this.#models.set(keyOfType(group, version, plural), model);
    this.#kinds.set(keyOfType(group, version, kind), model);
  }

  #model(type: ResourceType): ResourceModel {
    const model = this.#models.get(keyOfType(type.group, type.version, type.plural));
    invariant(model !== undefined, `${type.group}/${type.version} ${type.plural} is not served`);
    return model;
  }

  #fieldManager(type: ResourceType): FieldManager {
    const model = this.#model(type);
    const known = this.#managers.get(model);
    if (known !== undefined) return known;
    const manager = new FieldManager({
      apiVersion: apiVersionOf(type),
      kind: type.kind,
      shape: model.shape,
      convert: (object, apiVersion) => this.#convertTyped(model, object, apiVersion),
      hasStatus: type.subresources.some(({ name }) => name === "status"),
      empty: {
        ...(type.builtIn ? (zeroObject(model.shape) as object) : {}),
        apiVersion: apiVersionOf(type),
        kind: type.kind,
        metadata: {},
      },
    });
    this.#managers.set(model, manager);
    return manager;
  }

  #convertTyped(model: ResourceModel, object: TypedObject, apiVersion: string): TypedObject | undefined {
    if (object.apiVersion === apiVersion) return object;
    const { group, version } = groupVersionOf(apiVersion);
    const target = this.#models.get(keyOfType(group, version, model.type.plural));
    if (target === undefined || target.type.storageKey !== model.type.storageKey) return undefined;
    return { apiVersion, shape: target.shape, value: convertObject(object.value as UntypedObject, target.type) };
  }
}

function objectResult(value: unknown): UntypedObject {
  if (!isObject(value) || !isObject(value.metadata))
    throw new SchemaFault(422, "Invalid", "the patched value is not an object with metadata");
  return value as UntypedObject;
}

/**
 * The schemas of a new API server, which has only the built-in kinds. The call reads the generated data, which takes
 * some milliseconds.
 */
export function createSchemaRegistry(): Schemas {
  return new Schemas();
}
