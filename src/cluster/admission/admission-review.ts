import { randomUUID } from "node:crypto";
import type { UntypedObject } from "../../api/index.ts";
import type { ResourceType, SchemaRegistry } from "../schema/contract.ts";
import type { AdmissionRequest } from "./request.ts";

export interface AdmissionReview {
  readonly apiVersion: string;
  readonly kind: string;
  readonly request: { readonly uid: string };
}

/** The AdmissionReview that webhooks and policies get. Its objects are in the version of `type`. */
export function reviewOf(registry: SchemaRegistry, type: ResourceType, request: AdmissionRequest): AdmissionReview {
  const { operation, namespace, name, user, dryRun, options, subresource, object, oldObject, objectKind } = request;
  const converted = (value: UntypedObject | undefined): UntypedObject | null =>
    value === undefined ? null : objectKind === undefined ? registry.convert(value, type) : value;
  const kindOf = ({ group, version, kind }: ResourceType): object => objectKind ?? { group, version, kind };
  const resourceOf = ({ group, version, plural }: ResourceType): object => ({ group, version, resource: plural });
  return {
    kind: "AdmissionReview",
    apiVersion: "admission.k8s.io/v1",
    request: {
      uid: randomUUID(),
      kind: kindOf(type),
      resource: resourceOf(type),
      ...(subresource === "" ? {} : { subResource: subresource }),
      requestKind: kindOf(request.type),
      requestResource: resourceOf(request.type),
      ...(subresource === "" ? {} : { requestSubResource: subresource }),
      ...(name === "" ? {} : { name }),
      ...(namespace === "" ? {} : { namespace }),
      operation,
      userInfo: {
        username: user.name,
        ...(user.uid === undefined ? {} : { uid: user.uid }),
        groups: user.groups,
        ...(user.extra === undefined ? {} : { extra: user.extra }),
      },
      object: converted(object),
      oldObject: converted(oldObject),
      dryRun,
      options,
    } as { uid: string },
  };
}
