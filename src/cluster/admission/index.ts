// Admission: the built-in plugins, quotas, admission policies and webhooks.
export { builtInAdmission } from "./built-in.ts";
export { AdmissionChain } from "./chain.ts";
export { collectionOf } from "./quota-usage.ts";
export { AdmissionRefusal, type AdmissionRequest, type UntypedOptions } from "./request.ts";
export { checkQuotas, quotasKey, quotaStatus, specOf } from "./resource-quotas.ts";
