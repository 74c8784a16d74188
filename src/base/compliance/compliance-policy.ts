import { envString, type Environment } from "../env.ts";
import { userError } from "../errors.ts";

/** A policy that limits all TLS of a process, whatever else is configured. */
export type CompliancePolicy = (typeof policies)[number];

const policies = ["fips-140-2", "fips-140-3", "pqc"] as const;
const variable = "COMPLIANCE_POLICY";

/** The ciphers up to TLS 1.2 that every policy allows, by OpenSSL's names. */
export const approvedCiphers: readonly string[] = [
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
];

/** The groups for the key exchange that each policy allows, by OpenSSL's names. */
export const approvedCurves: Readonly<Record<CompliancePolicy, readonly string[]>> = {
  "fips-140-2": ["P-256"],
  "fips-140-3": ["P-256", "P-384"],
  pqc: ["X25519MLKEM768"],
};

/**
 * Reads COMPLIANCE_POLICY. Undefined if it is unset. Upstream ignores unknown values. This function refuses them,
 * because a misspelt policy would have no effect.
 */
export function readCompliancePolicy(env: Environment): CompliancePolicy | undefined {
  const text = envString(env, variable, "");
  if (text === "") return undefined;
  const known = policies.find((policy) => policy === text);
  if (known !== undefined) return known;
  throw userError("env-invalid", `${variable} must be empty or one of ${policies.join(", ")}, got "${text}"`, {
    hint: `set ${variable} to one of these, or remove it`,
  });
}
