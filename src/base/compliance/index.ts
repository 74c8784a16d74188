// Which TLS a compliance policy leaves; loaded only where TLS is configured.
export { approvedCiphers, readCompliancePolicy, type CompliancePolicy } from "./compliance-policy.ts";
