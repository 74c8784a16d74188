import type { KubernetesObject, ManagedFieldsEntry, UntypedObject } from "../../api/index.ts";

// The functions that the API server calls on schemas, and all facts about schemas that it uses. Objects are plain JSON
// values with `apiVersion` and `kind`. Unless a function says "in place", it does not change its arguments, and its
// result shares no mutable parts with them.

/**
 * One resource in one served version: the meaning of a path `/apis/<group>/<version>/…/<plural>`. Built-in or of a CRD.
 */
export interface ResourceType {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly listKind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  /** `create`, `delete`, `deletecollection`, `get`, `list`, `patch`, `update`, `watch`. */
  readonly verbs: readonly string[];
  readonly subresources: readonly SubresourceType[];
  /** The version in which objects are stored. {@link SchemaRegistry.convert} converts from and to it. */
  readonly storageVersion: string;
  /** The key of its collection in the store: `<group>/<plural>`. Events of both groups share `/events`. */
  readonly storageKey: string;
  /** False for a resource of a CRD. */
  readonly builtIn: boolean;
  /** The name of the CRD. Absent for a built-in resource. */
  readonly customResourceDefinition?: string;
  /** Paths in the object behind `/scale`, such as `spec.replicas`. Absent if there is no such subresource. */
  readonly scale?: ScalePaths;
  /**
   * The paths of a CRD's selectable fields, such as `spec.color`. The API server itself defines the field selectors of
   * built-in kinds.
   */
  readonly selectableFields?: readonly string[];
  /** The warning for each request of a deprecated version. */
  readonly deprecationWarning?: string;
}

/** `v1` or `apps/v1`. */
export function apiVersionOf(type: Pick<ResourceType, "group" | "version">): string {
  return type.group === "" ? type.version : `${type.group}/${type.version}`;
}

export interface SubresourceType {
  /** `status`, `scale`, `log`, … */
  readonly name: string;
  /** The kind of its requests and responses: for `scale` autoscaling/v1 Scale, for `status` the resource's own. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly verbs: readonly string[];
}

export interface ScalePaths {
  readonly specReplicasPath: string;
  readonly statusReplicasPath: string;
  /** A label selector as string or as metav1.LabelSelector. */
  readonly labelSelectorPath?: string;
}

/** One cause of a 422 answer, as metav1.StatusCause. */
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
  /** The server's text after the field: `Required value`, `Invalid value: "x": must be …`. */
  readonly message: string;
  /** `spec.containers[0].name` */
  readonly field: string;
}

/**
 * Thrown by decoding and patching: a body that cannot be read or a patch that cannot be applied. The API server answers
 * with `status`, `reason` and the unchanged message.
 */
export class SchemaFault extends Error {
  override readonly name = "SchemaFault";
  readonly status: 400 | 409 | 415 | 422 | 500;
  /** Empty if the real server gives no reason. */
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

/** metav1.StatusCause. `FieldManagerConflict` for server-side apply. */
export interface StatusCause {
  readonly reason: string;
  readonly message: string;
  readonly field: string;
}

/** Who writes an object, for its managedFields. */
export interface WriteOrigin {
  readonly manager: string;
  /** Empty for the resource itself. */
  readonly subresource: string;
  /** The time in RFC 3339, in whole seconds. */
  readonly time: string;
}

export interface ApplyRequest {
  readonly type: ResourceType;
  /** The stored object converted to `type`'s version, or undefined when the apply creates it. */
  readonly live: UntypedObject | undefined;
  /** The applied configuration, as sent (no defaults). */
  readonly applied: UntypedObject;
  readonly origin: WriteOrigin;
  /** Take over fields of other managers instead of failing with 409. */
  readonly force: boolean;
}

/** meta.k8s.io/v1 TableColumnDefinition. */
export interface TableColumn {
  readonly name: string;
  readonly type: string;
  readonly format: string;
  readonly description: string;
  readonly priority: number;
}

export interface OpenApiDocument {
  /** Bytes of the document as served, not compressed. */
  readonly body: Uint8Array;
  readonly contentType: string;
  /** A hash that changes with the body. It is used as ETag, and as `hash` in the v3 index. */
  readonly hash: string;
}

export interface SchemaRegistry {
  /** All served resources in the order of discovery: core first, and a group's versions by preference. */
  resources(): readonly ResourceType[];
  /** The served versions of the resource that is stored under this key. */
  versions(storageKey: string): readonly ResourceType[];
  /** Changes with each {@link addCustomResourceDefinition} and removal. */
  readonly generation: number;
  resource(group: string, version: string, plural: string): ResourceType | undefined;
  /** The type of an object with this `apiVersion` and `kind`. */
  resourceOfKind(group: string, version: string, kind: string): ResourceType | undefined;

  /**
   * Decodes a body of content type application/vnd.kubernetes.protobuf (the `k8s\0` envelope) into a JSON value. Throws
   * {@link SchemaFault} 400 for bytes that are no such body, and 415 for kinds that it does not know. Also knows
   * DeleteOptions, Eviction, Binding, TokenRequest, Scale and the reviews of authentication.k8s.io and
   * authorization.k8s.io.
   */
  decodeProtobuf(body: Uint8Array): UntypedObject;

  /**
   * Removes in place all fields that the schema does not know, unless `x-kubernetes-preserve-unknown-fields` keeps
   * them. Returns the removed paths in the form of `unknown field "spec.foo"`: `spec.foo`, `spec.containers[0].bar`.
   */
  dropUnknownFields(type: ResourceType, object: UntypedObject): readonly string[];
  /** Sets defaults of absent values in place. Also removes the `null`s that the server drops. */
  applyDefaults(type: ResourceType, object: UntypedObject): void;
  /**
   * All faults, with the server's texts. Empty means valid. `old` is given for an update. Also checks metadata (name,
   * labels, annotations, ownerReferences). For `subresource` "status", only changes of the status are allowed.
   */
  validate(
    type: ResourceType,
    object: UntypedObject,
    old: UntypedObject | undefined,
    subresource?: string,
  ): readonly FieldError[];
  /**
   * Converts the object to the version of `to`, which belongs to the same resource. May return the same object if
   * nothing changes.
   */
  convert(object: UntypedObject, to: ResourceType): UntypedObject;

  /** Applies a strategic merge patch. Throws 415 for a CRD's type, 400/422 for a bad patch. */
  strategicMerge(type: ResourceType, original: UntypedObject, patch: unknown): UntypedObject;
  /** Applies a merge patch (RFC 7386). */
  mergePatch(original: UntypedObject, patch: unknown): UntypedObject;
  /** Applies a JSON patch (RFC 6902). Throws 400 for an invalid patch, and 422 for a patch that cannot be applied. */
  jsonPatch(original: UntypedObject, patch: unknown): UntypedObject;
  /**
   * Server-side apply: the new object with its managedFields. Throws 409 with `FieldManagerConflict` causes and
   * 400/422. When nothing changes, the result equals `live` (managedFields' time included).
   */
  serverSideApply(request: ApplyRequest): UntypedObject;
  /**
   * The managedFields after a create, an update or a patch other than apply: everything that changed from `live` to
   * `object` now belongs to the manager. An explicit empty list in `object.metadata.managedFields` resets them. `live`
   * is undefined for a create.
   */
  updateManagedFields(
    type: ResourceType,
    live: UntypedObject | undefined,
    object: UntypedObject,
    origin: WriteOrigin,
  ): ManagedFieldsEntry[];

  /** The columns of the Table form. */
  tableColumns(type: ResourceType): readonly TableColumn[];
  /** One row's cells, in the order of {@link tableColumns}. `nowMs` for ages. */
  tableCells(type: ResourceType, object: UntypedObject, nowMs: number): readonly unknown[];

  /**
   * `/openapi/v2`, including CRDs. With `protobuf`, in the content type
   * application/com.github.proto-openapi.spec.v2.v1.0+protobuf.
   */
  openApiV2(protobuf: boolean): OpenApiDocument;
  /** Keys of the v3 index: `api/v1`, `apis/apps/v1`, `version`, … with the hash of each. */
  openApiV3Paths(): readonly { readonly path: string; readonly hash: string }[];
  openApiV3(path: string): OpenApiDocument | undefined;

  /**
   * Serves the CRD's versions from now on, or replaces them. The object has been stored. If its names or schema have
   * faults, it is not served, and the faults are returned. The API server writes them as the conditions NamesAccepted,
   * Established and NonStructuralSchema.
   */
  addCustomResourceDefinition(definition: KubernetesObject): readonly FieldError[];
  removeCustomResourceDefinition(name: string): void;
}
