import type { UntypedObject } from "../../api/index.ts";
import type { User } from "../auth/index.ts";
import type { ResourceType } from "../schema/contract.ts";

/** A request that admission checks. Mutating admission may change or replace `object`. */
export interface AdmissionRequest {
  readonly operation: "CREATE" | "UPDATE" | "DELETE" | "CONNECT";
  readonly type: ResourceType;
  readonly subresource: string;
  readonly namespace: string;
  /** The object's name. With `generateName`, it is empty until the server has generated a name. */
  readonly name: string;
  /** The new object, in the version of `type`, or of kind {@link objectKind}. A DELETE has none. */
  object: UntypedObject | undefined;
  /**
   * The kind of `object` if it differs from that of `type`: Eviction, Binding, TokenRequest, or the options of a
   * stream.
   */
  readonly objectKind?: ObjectKind;
  readonly oldObject: UntypedObject | undefined;
  readonly user: User;
  readonly dryRun: boolean;
  /**
   * The options of the write: CreateOptions, UpdateOptions, PatchOptions or DeleteOptions of meta.k8s.io/v1. A CONNECT
   * has none.
   */
  readonly options: UntypedOptions | null;
  readonly warnings: string[];
}

export interface ObjectKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

export interface UntypedOptions {
  readonly kind: string;
  readonly apiVersion: "meta.k8s.io/v1";
  readonly [field: string]: unknown;
}

/** The name of the object that a request writes. Returns the empty text until the server has generated the name. */
export function nameOf({ name, object }: Pick<AdmissionRequest, "name" | "object">): string {
  return name === "" ? (object?.metadata.name ?? "") : name;
}

/** The object of a request, for the details of a refusal. */
export function subjectOf(request: Pick<AdmissionRequest, "name" | "object" | "type">): AdmissionRefusal["subject"] {
  const { group, plural } = request.type;
  const name = nameOf(request);
  return {
    ...(name === "" ? {} : { name }),
    ...(group === "" ? {} : { group }),
    kind: plural,
  };
}

/** A refusal by admission, with the HTTP status of the answer. */
export class AdmissionRefusal extends Error {
  override readonly name = "AdmissionRefusal";
  readonly code: number;
  readonly reason: string;
  readonly causes: readonly { readonly reason?: string; readonly message?: string; readonly field?: string }[];
  /** The object that the refusal names. A webhook's refusal names none. */
  readonly subject: { readonly name?: string; readonly group?: string; readonly kind?: string };

  constructor(
    code: number,
    reason: string,
    message: string,
    causes: AdmissionRefusal["causes"] = [],
    subject: AdmissionRefusal["subject"] = {},
  ) {
    super(message);
    this.subject = subject;
    this.code = code;
    this.reason = reason;
    this.causes = causes;
  }
}

/** The refusal of a write that a rule of the cluster forbids, in kube-apiserver's words. */
export function forbidden(
  request: Pick<AdmissionRequest, "name" | "object" | "type">,
  why: string,
  causes: AdmissionRefusal["causes"] = [],
): AdmissionRefusal {
  const { group, plural } = request.type;
  const resource = group === "" ? plural : `${plural}.${group}`;
  const message = `${resource} "${nameOf(request)}" is forbidden: ${why}`;
  return new AdmissionRefusal(403, "Forbidden", message, causes, subjectOf(request));
}
