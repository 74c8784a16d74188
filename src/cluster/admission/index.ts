export { builtInAdmission, type AdmissionParts } from "./built-in.ts";
export { AdmissionChain, type AdmissionPlugin } from "./chain.ts";
export { AdmissionRefusal, type AdmissionRequest, type UntypedOptions } from "./request.ts";
