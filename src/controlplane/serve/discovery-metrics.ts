import { ownField } from "../../base/index.ts";
import type { Counter, Histogram, MetricsRegistry } from "../../telemetry/index.ts";

/** The metrics of the discovery service, under upstream's names. */
export interface DiscoveryMetrics {
  /**
   * `sinceMs` is the time since the change arrived, or undefined for an answer to a request. `tookMs` is the time to
   * encode and hand over the response.
   */
  pushed(type: string, bytes: number, sinceMs: number | undefined, tookMs: number): void;
  rejected(type: string): void;
  /** Called for an answer with an old nonce. */
  expired(type: string): void;
  connected(version: string, delta: 1 | -1): void;
}

const convergenceBounds = [0.01, 0.05, 0.1, 0.5, 1, 3, 5, 10, 20, 30];
const queueBounds = [0.001, 0.01, 0.1, 0.5, 1, 3, 5, 10, 20, 30];
const pushBounds = [0.001, 0.01, 0.1, 0.5, 1, 3, 5, 10, 20, 30];
const sizeBounds = [1, 10_000, 1_000_000, 4_000_000, 10_000_000, 40_000_000];
const msPerSecond = 1000;

/** The counters of one type's responses. */
interface PushedHandles {
  readonly pushes: Counter;
  readonly sizes: Histogram;
  readonly pushTime: Histogram;
}

/**
 * The maximum number of types whose handles are kept. There are about a dozen types, but a client may request any type.
 */
const maxKeptTypes = 64;

export function createDiscoveryMetrics(registry: MetricsRegistry): DiscoveryMetrics {
  const pushes = registry.counter("pilot_xds_pushes", "Responses sent to proxies.", ["type"]);
  const rejects = registry.counter("pilot_total_xds_rejects", "Responses that proxies rejected.", ["type"]);
  const connected = registry.gauge("pilot_xds", "Proxies connected to this control plane.", ["version"]);
  const convergence = registry.histogram(
    "pilot_proxy_convergence_time",
    "Seconds from a change to its response to a proxy.",
    [],
    convergenceBounds,
  );
  const queued = registry.histogram(
    "pilot_proxy_queue_time",
    "Seconds that a change waits before its response to a proxy is made.",
    [],
    queueBounds,
  );
  const pushTime = registry.histogram(
    "pilot_xds_push_time",
    "Seconds to make a response and to hand it over.",
    ["type"],
    pushBounds,
  );
  const sizes = registry.histogram("pilot_xds_config_size_bytes", "Bytes of a response.", ["type"], sizeBounds);
  const expired = registry.counter(
    "pilot_xds_expired_nonce",
    "ACKs and NACKs of a response that is not the last of its type.",
    ["type"],
  );
  const byType = (suffix: string): { increment(): void } =>
    registry.counter(`pilot_xds_${suffix}_reject`, `Rejected ${suffix.toUpperCase()} responses.`, []).labels();
  const perType: Readonly<Record<string, { increment(): void }>> = {
    cds: byType("cds"),
    eds: byType("eds"),
    lds: byType("lds"),
    rds: byType("rds"),
  };
  const handles = new Map<string, PushedHandles>();
  const handlesOf = (type: string): PushedHandles => {
    const known = handles.get(type);
    if (known !== undefined) return known;
    const made = { pushes: pushes.labels(type), sizes: sizes.labels(type), pushTime: pushTime.labels(type) };
    if (handles.size < maxKeptTypes) handles.set(type, made);
    return made;
  };
  const [converged, waited] = [convergence.labels(), queued.labels()];
  return {
    pushed: (type, bytes, sinceMs, tookMs) => {
      const handles = handlesOf(type);
      handles.pushes.increment();
      handles.sizes.observe(bytes);
      handles.pushTime.observe(tookMs / msPerSecond);
      if (sinceMs === undefined) return;
      converged.observe(sinceMs / msPerSecond);
      waited.observe(Math.max(0, sinceMs - tookMs) / msPerSecond);
    },
    rejected: (type) => {
      rejects.labels(type).increment();
      ownField(perType, type)?.increment();
    },
    expired: (type) => expired.labels(type).increment(),
    connected: (version, delta) => {
      connected.labels(version).add(delta);
    },
  };
}
