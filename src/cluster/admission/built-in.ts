import type { Clock, Logger, Random } from "../../base/index.ts";
import type { Authorizer } from "../auth/index.ts";
import type { SchemaRegistry } from "../schema/contract.ts";
import type { Store } from "../store/index.ts";
import type { AdmissionPlugin } from "./chain.ts";
import { certificateRequests } from "./certificate-requests.ts";
import { limitRanger, limitRangerAfterWebhooks } from "./limit-ranger.ts";
import { namespaceLifecycle } from "./namespace-lifecycle.ts";
import { nodeRestriction } from "./node-restriction.ts";
import { podDefaults } from "./pod-defaults.ts";
import { podSecurity } from "./pod-security/pod-security.ts";
import { policyParameterRights } from "./policy-parameters.ts";
import { roleEscalation } from "./role-escalation.ts";
import { runtimeClasses } from "./runtime-class.ts";
import { serviceAccountAdmission } from "./service-account.ts";
import { storageAdmission } from "./storage.ts";
import { validatingPolicies } from "./validating-policies.ts";
import { webhookAdmission } from "./webhooks.ts";

export interface AdmissionParts {
  readonly store: Store;
  readonly authorizer: Authorizer;
  readonly registry: SchemaRegistry;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/**
 * The admission plugins in the order in which they run. Policies and webhooks come after the plugins that complete
 * objects.
 */
export function builtInAdmission(parts: AdmissionParts): AdmissionPlugin[] {
  return [
    namespaceLifecycle(parts.store),
    limitRanger(parts.store),
    serviceAccountAdmission(parts),
    runtimeClasses(parts.store),
    podDefaults(parts),
    nodeRestriction(parts.store),
    podSecurity(parts.store),
    storageAdmission(parts),
    roleEscalation(parts.store, parts.authorizer),
    policyParameterRights(parts, parts.authorizer),
    certificateRequests(parts.authorizer, parts.clock),
    validatingPolicies(parts),
    webhookAdmission(parts),
    limitRangerAfterWebhooks(parts.store),
    unsupportedObjects,
  ];
}

/** Warns of objects that this server stores but does not act on. */
const unsupportedObjects: AdmissionPlugin = {
  name: "UnsupportedObjects",
  validate({ operation, type, subresource, object, warnings }) {
    if ((operation !== "CREATE" && operation !== "UPDATE") || subresource !== "") return;
    if (type.storageKey === "admissionregistration.k8s.io/mutatingadmissionpolicies")
      warnings.push("this cluster stores MutatingAdmissionPolicies, and does not apply them");
    if (type.storageKey !== "apiextensions.k8s.io/customresourcedefinitions") return;
    const { conversion } = (object?.["spec"] ?? {}) as { conversion?: { strategy?: string } };
    if (conversion?.strategy === "Webhook")
      warnings.push(
        "this cluster does not call conversion webhooks: in each version, an object has the fields with which it was written",
      );
  },
};
