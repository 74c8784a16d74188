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

/** The plugins in their order. Policies and webhooks come after the plugins that complete objects. */
export function builtInAdmission(parts: AdmissionParts): AdmissionPlugin[] {
  return [
    namespaceLifecycle(parts.store),
    limitRanger(parts.store),
    serviceAccountAdmission(parts),
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
  ];
}
