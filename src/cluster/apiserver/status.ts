import type { AccessAttributes, User } from "../auth/index.ts";
import type { StatusCause } from "../schema/contract.ts";

/** The body of an answer without an object: a Status of meta.k8s.io/v1. */
export interface Status {
  readonly kind: "Status";
  readonly apiVersion: "v1";
  readonly metadata: { readonly continue?: string };
  readonly status: "Success" | "Failure";
  readonly message?: string;
  readonly reason?: string;
  readonly details?: StatusDetails;
  readonly code?: number;
}

export interface StatusDetails {
  readonly name?: string | undefined;
  readonly group?: string | undefined;
  readonly kind?: string | undefined;
  readonly uid?: string | undefined;
  readonly causes?: readonly Partial<StatusCause>[] | undefined;
  readonly retryAfterSeconds?: number | undefined;
}

/** An error with the text of kube-apiserver. The server answers with its {@link Status} and its HTTP code. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: number;
  readonly reason: string;
  readonly details: StatusDetails | undefined;
  readonly metadata: Status["metadata"];

  constructor(
    code: number,
    reason: string,
    message: string,
    details?: StatusDetails,
    metadata: Status["metadata"] = {},
  ) {
    super(message);
    this.metadata = metadata;
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  get body(): Status {
    return {
      kind: "Status",
      apiVersion: "v1",
      metadata: this.metadata,
      status: "Failure",
      message: this.message,
      ...(this.reason === "" ? {} : { reason: this.reason }),
      ...(this.details === undefined ? {} : { details: this.details }),
      code: this.code,
    };
  }
}

interface Named {
  readonly group: string;
  readonly plural: string;
}

/**
 * A resource's name with its group, such as `deployments.apps`. A resource of the core group is just its plural, such
 * as `pods`.
 */
function qualifiedResource({ group, plural }: Named): string {
  return group === "" ? plural : `${plural}.${group}`;
}

function detailsOf(type: Named, name: string): StatusDetails {
  return { name, ...(type.group === "" ? {} : { group: type.group }), kind: type.plural };
}

export function notFound(type: Named, name: string): ApiError {
  return new ApiError(404, "NotFound", `${qualifiedResource(type)} "${name}" not found`, detailsOf(type, name));
}

/**
 * The error of a create request whose name is in use. The message says whether the existing object is being deleted.
 */
export function alreadyExists(type: Named, name: string, isEnding = false): ApiError {
  return new ApiError(
    409,
    "AlreadyExists",
    `${isEnding ? "object is being deleted: " : ""}${qualifiedResource(type)} "${name}" already exists`,
    detailsOf(type, name),
  );
}

const modified = "the object has been modified; please apply your changes to the latest version and try again";

export function conflict(type: Named, name: string, why: string = modified): ApiError {
  return new ApiError(
    409,
    "Conflict",
    `Operation cannot be fulfilled on ${qualifiedResource(type)} "${name}": ${why}`,
    detailsOf(type, name),
  );
}

export function invalid(type: { group: string; kind: string }, name: string, causes: readonly StatusCause[]): ApiError {
  const list = causes.map((cause) => `${cause.field}: ${cause.message}`);
  const message = list.length === 1 ? list[0] : `[${list.join(", ")}]`;
  const kind = type.group === "" ? type.kind : `${type.kind}.${type.group}`;
  const details = {
    ...(name === "" ? {} : { name }),
    ...(type.group === "" ? {} : { group: type.group }),
    ...(type.kind === "" ? {} : { kind: type.kind }),
    causes,
  };
  return new ApiError(422, "Invalid", `${kind} "${name}" is invalid: ${message ?? ""}`, details);
}

export function badRequest(message: string): ApiError {
  return new ApiError(400, "BadRequest", message);
}

export function unknownPath(): ApiError {
  return new ApiError(404, "NotFound", "the server could not find the requested resource", {});
}

/** The error for an unknown path. As with kube-apiserver, the body of its answer is plain text. */
export class NotServed extends ApiError {
  constructor() {
    super(404, "NotFound", "the server could not find the requested resource", {});
  }
}

export function methodNotAllowed(): ApiError {
  return new ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {});
}

export function expired(message: string, metadata: Status["metadata"] = {}): ApiError {
  return new ApiError(410, "Expired", message, undefined, metadata);
}

export function forbidden(user: User, attributes: AccessAttributes, reason = ""): ApiError {
  const { verb, path, group, resource, subresource, namespace, name } = attributes;
  if (path !== undefined)
    return new ApiError(403, "Forbidden", `forbidden: User "${user.name}" cannot ${verb} path "${path}"`, {});
  const target = subresource === "" ? resource : `${resource}/${subresource}`;
  const scope = namespace === "" ? "at the cluster scope" : `in the namespace "${namespace}"`;
  const subject = qualifiedResource({ group, plural: resource }) + (name === "" ? "" : ` "${name}"`);
  const message = `${subject} is forbidden: User "${user.name}" cannot ${verb} resource "${target}" in API group "${group}" ${scope}${reason === "" ? "" : `: ${reason}`}`;
  const details = { ...(name === "" ? {} : { name }), ...(group === "" ? {} : { group }), kind: resource };
  return new ApiError(403, "Forbidden", message, details);
}
