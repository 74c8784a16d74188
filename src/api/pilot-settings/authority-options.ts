import {
  envBoolean,
  envInteger,
  envList,
  type Environment,
  envString,
  goDurationMs,
  userError,
} from "../../base/index.ts";
import type { CertificateLifetimes, SelfSignedOptions } from "./pilot-types.ts";

export interface AuthoritySettings {
  readonly lifetimes: CertificateLifetimes;
  readonly selfSigned: SelfSignedOptions;
  /** How often the CA reads its Secrets, even if no watch event says that they changed. */
  readonly checkIntervalMs: number;
  /** A client's token must be for one of these audiences. */
  readonly audiences: readonly string[];
  /** Whether to send the roots over xDS to proxies that ask for them. */
  readonly trustOverXds: boolean;
  /** Whether to publish the root as a ClusterTrustBundle instead of a ConfigMap in each namespace. */
  readonly clusterTrustBundle: boolean;
  readonly rootConfigMap: string;
  /** Undefined means that revocation lists are not published. */
  readonly revocationConfigMap: string | undefined;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const msPerSecond = 1000;
const maxPercent = 99;

export function readAuthoritySettings(env: Environment): AuthoritySettings {
  refuseExternalAuthority(env);
  const defaultMs = envDuration(env, "DEFAULT_WORKLOAD_CERT_TTL", dayMs);
  const maxMs = envDuration(env, "MAX_WORKLOAD_CERT_TTL", 90 * dayMs);
  if (defaultMs <= 0 || maxMs <= 0)
    throw userError("env-invalid", "DEFAULT_WORKLOAD_CERT_TTL and MAX_WORKLOAD_CERT_TTL must be longer than 0");
  const interval = envDuration(env, "CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL", hourMs);
  const gracePercent = envInteger(env, "CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE", 20);
  if (gracePercent < 0 || gracePercent > maxPercent)
    throw userError(
      "env-invalid",
      `CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE must be from 0 to ${maxPercent}, got ${gracePercent}`,
    );
  return {
    lifetimes: {
      defaultSeconds: Math.floor(Math.min(defaultMs, maxMs) / msPerSecond),
      maxSeconds: Math.floor(maxMs / msPerSecond),
    },
    selfSigned: {
      lifetimeMs: envDuration(env, "CITADEL_SELF_SIGNED_CA_CERT_TTL", 3650 * dayMs),
      rsaKeyBits: rsaKeyBits(env),
      gracePercent: interval > 0 ? gracePercent : undefined,
      inCacerts: envBoolean(env, "USE_CACERTS_FOR_SELF_SIGNED_CA", false),
    },
    checkIntervalMs: interval > 0 ? interval : hourMs,
    audiences: tokenAudiences(env),
    trustOverXds: envBoolean(env, "ISTIO_MULTIROOT_MESH", false),
    clusterTrustBundle: envBoolean(env, "ENABLE_CLUSTER_TRUST_BUNDLE_API", false),
    rootConfigMap: envString(env, "PILOT_CA_CERT_CONFIGMAP", "istio-ca-root-cert"),
    revocationConfigMap: envBoolean(env, "PILOT_ENABLE_CA_CRL", true)
      ? envString(env, "PILOT_CRL_CONFIGMAP", "istio-ca-crl")
      : undefined,
  };
}

/** Refuses settings that ask for another signer. Ignoring them would silently sign with the wrong root. */
function refuseExternalAuthority(env: Environment): void {
  for (const name of ["EXTERNAL_CA", "K8S_SIGNER"]) {
    const value = envString(env, name, "");
    if (value !== "")
      throw userError(
        "env-invalid",
        `${name}="${value}" is not supported: this control plane signs with its own authority`,
        { hint: "provide an intermediate authority in the secret cacerts" },
      );
  }
}

function tokenAudiences(env: Environment): readonly string[] {
  const audiences = envList(env, "TOKEN_AUDIENCES", "istio-ca");
  if (audiences.length === 0)
    throw userError(
      "env-invalid",
      `TOKEN_AUDIENCES="${env["TOKEN_AUDIENCES"] ?? ""}" names no audience: no proxy's token would be accepted`,
      {
        hint: "name at least one, such as istio-ca, or unset it",
      },
    );
  return audiences;
}

const rsaSizes = [2048, 3072, 4096];

function rsaKeyBits(env: Environment): number {
  const bits = envInteger(env, "CITADEL_SELF_SIGNED_CA_RSA_KEY_SIZE", 2048);
  if (!rsaSizes.includes(bits))
    throw userError(
      "env-invalid",
      `CITADEL_SELF_SIGNED_CA_RSA_KEY_SIZE must be one of ${rsaSizes.join(", ")}, got ${bits}`,
    );
  return bits;
}

export function envDuration(env: Environment, name: string, fallbackMs: number): number {
  const text = envString(env, name, "");
  if (text === "") return fallbackMs;
  const ms = goDurationMs(text);
  if (ms === undefined)
    throw userError("env-invalid", `${name} must be a duration such as 24h or 1h30m, got "${text}"`);
  return ms;
}
