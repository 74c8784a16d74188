import type { UntypedObject } from "../../../api/index.ts";
import type { FieldError, ResourceType } from "../contract.ts";
import { Check } from "./check.ts";
import { coreValidators } from "./core.ts";
import { groupValidators } from "./groups.ts";
import { jobValidators } from "./jobs.ts";
import type { KindValidators } from "./kind-validator.ts";
import { validateMetadata } from "../metadata.ts";
import { serviceValidators } from "./services.ts";
import { storageValidators } from "./storage.ts";
import { workloadValidators } from "./workloads.ts";

const validators: KindValidators = {
  ...coreValidators,
  ...serviceValidators,
  ...storageValidators,
  ...workloadValidators,
  ...jobValidators,
  ...groupValidators,
};

/** The subresources whose writes also change metadata. The empty name is the object itself. */
const writesMetadata: ReadonlySet<string> = new Set(["", "ephemeralcontainers", "status"]);

/** Checks an object of a built-in kind for frequent mistakes, with kube-apiserver's messages. */
export function validateBuiltIn(
  type: ResourceType,
  object: UntypedObject,
  old: UntypedObject | undefined,
  subresource: string,
): FieldError[] {
  const check = new Check();
  if (writesMetadata.has(subresource)) check.add(...validateMetadata(type, object, old));
  const kind = `${type.group}/${type.plural}`;
  validators[subresource === "" ? kind : `${kind}/${subresource}`]?.(object, old, check);
  return check.errors;
}
