import assert from "node:assert/strict";
import type { UntypedObject } from "../../../api/index.ts";
import type { ResourceType } from "../../schema/contract.ts";
import { createSchemaRegistry } from "../../schema/index.ts";
import type { AdmissionPlugin } from "../chain.ts";
import { AdmissionRefusal, type AdmissionRequest } from "../request.ts";

const registry = createSchemaRegistry();
const admin = { name: "admin", groups: ["system:authenticated"] };

/** A request by a user without special rights. `resource` has the form `<group>/<plural>`. */
export function admissionRequest(
  resource: string,
  object: object | undefined,
  more: Partial<AdmissionRequest> = {},
): AdmissionRequest {
  const type = typeOf(resource);
  const untyped = object as UntypedObject | undefined;
  return {
    operation: "CREATE",
    type,
    subresource: "",
    namespace: type.namespaced ? "shop" : "",
    name: untyped?.metadata.name ?? "",
    object: untyped,
    oldObject: undefined,
    user: admin,
    dryRun: false,
    options: null,
    warnings: [],
    ...more,
  };
}

/** The answer of a plugin: `allowed`, or the status and the message of its refusal. */
export async function answerOf(plugin: AdmissionPlugin, request: AdmissionRequest): Promise<string> {
  try {
    await plugin.mutate?.(request);
    await plugin.validate?.(request);
  } catch (error) {
    assert.ok(error instanceof AdmissionRefusal, String(error));
    return `${error.code} ${error.message}`;
  }
  return "allowed";
}

function typeOf(resource: string): ResourceType {
  const found = registry.versions(resource)[0];
  assert.ok(found !== undefined, `there is no resource ${resource}`);
  return found;
}
