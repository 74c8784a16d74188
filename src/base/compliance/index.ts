// Which TLS a compliance policy leaves; loaded only where TLS is configured.
export { approvedCiphers, approvedCurves, readCompliancePolicy, type CompliancePolicy } from "./compliance-policy.ts";
