// The TLS settings that a compliance policy allows. Loaded only where TLS is configured.
export { approvedCiphers, approvedCurves, readCompliancePolicy, type CompliancePolicy } from "./compliance-policy.ts";
