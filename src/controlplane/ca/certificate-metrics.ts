import { SerinError, type Clock } from "../../base/index.ts";
import type { MetricsRegistry } from "../../telemetry/index.ts";
import type { CertificateAuthority } from "./certificate-authority.ts";

const msPerSecond = 1000;

export interface CertificateMetrics {
  requested(): void;
  unauthenticated(): void;
  refused(error: unknown): void;
  issued(): void;
}

/**
 * The value of the metric's label `error`. Undefined if the caller has no right to the identity, because another metric
 * counts these errors.
 */
function errorType(error: unknown): string | undefined {
  switch (error instanceof SerinError ? error.code : "") {
    case "not-allowed":
    case "bad-identity":
    case "unauthenticated":
      return undefined;
    case "bad-csr":
      return "CSR_ERROR";
    case "ttl-too-long":
      return "TTL_ERROR";
    case "ca-not-ready":
      return "CA_NOT_READY";
    default:
      return "CERT_GEN_ERROR";
  }
}

export function createCertificateMetrics(metrics: MetricsRegistry): CertificateMetrics {
  const requestCount = metrics.counter("citadel_server_csr_count", "Certificate requests that were received.").labels();
  const unauthenticated = metrics
    .counter(
      "citadel_server_authentication_failure_count",
      "Requests whose caller is unknown or may not have the identity.",
    )
    .labels();
  const parsing = metrics
    .counter("citadel_server_csr_parsing_err_count", "Certificate requests that could not be read.")
    .labels();
  const signing = metrics.counter(
    "citadel_server_csr_sign_err_count",
    "Certificate requests that could not be signed.",
    ["error"],
  );
  const issued = metrics
    .counter("citadel_server_success_cert_issuance_count", "Certificates that were issued.")
    .labels();
  return {
    requested: () => requestCount.increment(),
    unauthenticated: () => unauthenticated.increment(),
    refused: (error) => {
      const type = errorType(error);
      if (type === undefined) unauthenticated.increment();
      else signing.labels(type).increment();
      if (type === "CSR_ERROR") parsing.increment();
    },
    issued: () => issued.increment(),
  };
}

/** Metrics of when the root and the signing certificate expire. Each scrape computes them. */
export function addExpiryMetrics(metrics: MetricsRegistry, authority: () => CertificateAuthority, clock: Clock): void {
  const gauge = (name: string, help: string) => metrics.gauge(`citadel_server_${name}`, help);
  const root = {
    timestamp: gauge("root_cert_expiry_timestamp", "When the root expires, in seconds since 1970."),
    seconds: gauge("root_cert_expiry_seconds", "Seconds until the root expires; negative afterwards."),
  };
  const chain = {
    timestamp: gauge(
      "cert_chain_expiry_timestamp",
      "When the authority's own certificate expires, in seconds since 1970.",
    ),
    seconds: gauge(
      "cert_chain_expiry_seconds",
      "Seconds until the authority's own certificate expires; negative afterwards.",
    ),
  };
  metrics.onCollect(() => {
    const { rootNotAfterMs, notAfterMs, hasChain } = authority();
    const nowMs = clock.nowMs();
    const set = ({ timestamp, seconds }: typeof root, endMs: number): void => {
      timestamp.labels().set(endMs / msPerSecond);
      seconds.labels().set((endMs - nowMs) / msPerSecond);
    };
    set(root, rootNotAfterMs);
    if (hasChain) set(chain, notAfterMs);
  });
}
