import type { KubernetesObject, ManagedFieldsEntry, UntypedObject } from "../../api/index.ts";

// The functions on schemas that the API server calls, and the facts about schemas that it needs. Objects are plain JSON
// values with `apiVersion` and `kind`. A function does not change its arguments unless it says "in place", and its
// result shares no mutable parts with them.

/**
 * One resource in one served version: what `<group>/<version>/…/<plural>` in a path means. It is built in, or a CRD
 * defines it.
 */
export interface ResourceType {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly listKind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  /**
   * The supported verbs, a subset of `create`, `delete`, `deletecollection`, `get`, `list`, `patch`, `update`, `watch`.
   */
  readonly verbs: readonly string[];
  readonly subresources: readonly SubresourceType[];
  /** The version in which objects are stored. {@link SchemaRegistry.convert} converts to and from this version. */
  readonly storageVersion: string;
  /**
   * The key of the resource's collection in the store: `<group>/<plural>`. The Events of both groups share `/events`.
   */
  readonly storageKey: string;
  /** Whether the resource is built in. Otherwise a CRD defines it. */
  readonly builtIn: boolean;
  /** The name of the CRD that defines the resource. It is absent for a built-in resource. */
  readonly customResourceDefinition?: string;
  /**
   * The paths in the object that `/scale` reads and writes, such as `spec.replicas`. Absent if the resource has no such
   * subresource.
   */
  readonly scale?: ScalePaths;
  /**
   * The paths of a CRD's selectable fields, such as `spec.color`. The API server itself defines the field selectors of
   * built-in kinds.
   */
  readonly selectableFields?: readonly string[];
  /** The warning that each request with this deprecated version gets. */
  readonly deprecationWarning?: string;
}

/** The `apiVersion` of a resource, such as `v1` or `apps/v1`. */
export function apiVersionOf(type: Pick<ResourceType, "group" | "version">): string {
  return type.group === "" ? type.version : `${type.group}/${type.version}`;
}

export interface SubresourceType {
  readonly name: string;
  /**
   * The kind of the subresource's requests and responses. For `scale`, it is Scale of autoscaling/v1. For `status`, it
   * is the resource's own kind.
   */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly verbs: readonly string[];
}

export interface ScalePaths {
  readonly specReplicasPath: string;
  readonly statusReplicasPath: string;
  /** The path of the label selector, which is a string or a LabelSelector of meta.k8s.io/v1. */
  readonly labelSelectorPath?: string;
}

/** A cause in a 422 answer (StatusCause of meta.k8s.io/v1). */
export interface FieldError {
  readonly reason:
    | "FieldValueRequired"
    | "FieldValueInvalid"
    | "FieldValueNotSupported"
    | "FieldValueForbidden"
    | "FieldValueDuplicate"
    | "FieldValueTooLong"
    | "FieldValueTooMany"
    | "FieldValueTypeInvalid"
    | "FieldValueNotFound"
    | "InternalError";
  /** The text after the field's name, as from kube-apiserver: `Required value`, `Invalid value: "x": must be …`. */
  readonly message: string;
  /** The path of the field, such as `spec.containers[0].name`. */
  readonly field: string;
}

/**
 * Thrown if a body cannot be decoded or a patch cannot be applied. The API server answers with `status`, `reason` and
 * the unchanged message.
 */
export class SchemaFault extends Error {
  override readonly name = "SchemaFault";
  readonly status: 400 | 409 | 415 | 422 | 500;
  /** The reason of the answer. It is empty if kube-apiserver states none. */
  readonly reason: "BadRequest" | "Conflict" | "UnsupportedMediaType" | "Invalid" | "";
  readonly causes: readonly StatusCause[];

  constructor(
    status: SchemaFault["status"],
    reason: SchemaFault["reason"],
    message: string,
    causes: readonly StatusCause[] = [],
  ) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.causes = causes;
  }
}

/**
 * A cause in an answer (StatusCause of meta.k8s.io/v1). The reason `FieldManagerConflict` comes from server-side apply.
 */
export interface StatusCause {
  readonly reason: string;
  readonly message: string;
  readonly field: string;
}

export interface WriteOrigin {
  readonly manager: string;
  /** The subresource. It is empty for the resource itself. */
  readonly subresource: string;
  /** The time of the write in RFC 3339, in whole seconds. */
  readonly time: string;
}

export interface ApplyRequest {
  readonly type: ResourceType;
  /** The stored object in `type`'s version, or undefined if the apply creates the object. */
  readonly live: UntypedObject | undefined;
  /** The applied configuration as the client sent it, without defaults. */
  readonly applied: UntypedObject;
  readonly origin: WriteOrigin;
  /** Whether to take over fields of other managers instead of failing with 409. */
  readonly force: boolean;
}

/** A TableColumnDefinition of meta.k8s.io/v1. */
export interface TableColumn {
  readonly name: string;
  readonly type: string;
  readonly format: string;
  readonly description: string;
  readonly priority: number;
}

export interface OpenApiDocument {
  /** The document's bytes, as served and not compressed. */
  readonly body: Uint8Array;
  readonly contentType: string;
  /** A hash of the body. It is the document's ETag, and its `hash` in the v3 index. */
  readonly hash: string;
}

export interface SchemaRegistry {
  /**
   * All served resources in the order of discovery: the core group first, and the versions of a group by preference.
   */
  resources(): readonly ResourceType[];
  /** The served versions of the resource with this key in the store. */
  versions(storageKey: string): readonly ResourceType[];
  /** A number that changes whenever a CRD is added or removed. */
  readonly generation: number;
  resource(group: string, version: string, plural: string): ResourceType | undefined;
  resourceOfKind(group: string, version: string, kind: string): ResourceType | undefined;

  /**
   * Decodes a body of content type application/vnd.kubernetes.protobuf (the `k8s\0` envelope) into a JSON value. Throws
   * {@link SchemaFault} 400 if the bytes are not such a body, and 415 for an unknown kind. The known kinds include
   * DeleteOptions, Eviction, Binding, TokenRequest, Scale and the reviews of authentication.k8s.io and
   * authorization.k8s.io.
   */
  decodeProtobuf(body: Uint8Array): UntypedObject;

  /**
   * Removes in place all fields that the schema does not know, unless `x-kubernetes-preserve-unknown-fields` keeps
   * them. Returns the removed paths in the form of Kubernetes' messages: `spec.foo`, `spec.containers[0].bar`.
   */
  dropUnknownFields(type: ResourceType, object: UntypedObject): readonly string[];
  /** Fills in default values in place. Also removes those `null`s that kube-apiserver drops. */
  applyDefaults(type: ResourceType, object: UntypedObject): void;
  /**
   * Returns all faults of the object, with kube-apiserver's texts. The list is empty for a valid object. `old` is the
   * stored object of an update. Also checks the metadata (name, labels, annotations, ownerReferences). For the
   * subresource "status", only the status may change.
   */
  validate(
    type: ResourceType,
    object: UntypedObject,
    old: UntypedObject | undefined,
    subresource?: string,
  ): readonly FieldError[];
  /**
   * Converts the object to the version of `to`, a type of the same resource. May return the same object if nothing
   * changes.
   */
  convert(object: UntypedObject, to: ResourceType): UntypedObject;

  /** Applies a strategic merge patch. Throws 415 for a CRD's type, and 400 or 422 for an invalid patch. */
  strategicMerge(type: ResourceType, original: UntypedObject, patch: unknown): UntypedObject;
  /** Applies a merge patch (RFC 7386). */
  mergePatch(original: UntypedObject, patch: unknown): UntypedObject;
  /** Applies a JSON patch (RFC 6902). Throws 400 for an invalid patch, and 422 for a patch that cannot be applied. */
  jsonPatch(original: UntypedObject, patch: unknown): UntypedObject;
  /**
   * Applies a configuration by server-side apply. Returns the new object with its managedFields. Throws 409 with
   * `FieldManagerConflict` causes, and 400 or 422 for an invalid configuration. If nothing changes, the result equals
   * `live`, even in the times of its managedFields.
   */
  serverSideApply(request: ApplyRequest): UntypedObject;
  /**
   * The managedFields after a create, an update or a patch other than apply. The manager owns every field that differs
   * between `live` and `object`. An explicit empty list in `object.metadata.managedFields` resets them. For a create,
   * `live` is undefined.
   */
  updateManagedFields(
    type: ResourceType,
    live: UntypedObject | undefined,
    object: UntypedObject,
    origin: WriteOrigin,
  ): ManagedFieldsEntry[];

  tableColumns(type: ResourceType): readonly TableColumn[];
  /** The cells of one row, in the order of {@link tableColumns}. `nowMs` is the present time, for ages. */
  tableCells(type: ResourceType, object: UntypedObject, nowMs: number): readonly unknown[];

  /**
   * The document `/openapi/v2`, including CRDs. With `protobuf`, it has the content type
   * application/com.github.proto-openapi.spec.v2.v1.0+protobuf.
   */
  openApiV2(protobuf: boolean): OpenApiDocument;
  /** The paths in the v3 index (`api/v1`, `apis/apps/v1`, `version`, …), each with the hash of its document. */
  openApiV3Paths(): readonly { readonly path: string; readonly hash: string }[];
  openApiV3(path: string): OpenApiDocument | undefined;

  /**
   * Serves the versions of a stored CRD, in place of those of an earlier definition with the same name. If its group or
   * names have faults, changes nothing and returns the faults.
   */
  addCustomResourceDefinition(definition: KubernetesObject): readonly FieldError[];
  removeCustomResourceDefinition(name: string): void;
}
