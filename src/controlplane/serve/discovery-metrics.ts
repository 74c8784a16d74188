import { ownField } from "../../base/index.ts";
import type { Counter, Gauge, Histogram, MetricFamily, MetricsRegistry } from "../../telemetry/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { shortTypeName } from "./push-order.ts";

/**
 * The metrics of the discovery service, under upstream's names. Clients choose each `typeUrl`, and may invent types.
 */
export interface DiscoveryMetrics {
  /**
   * Counts a response. `sinceMs` is the time since the change arrived, or undefined for an answer to a request.
   * `tookMs` is the time that encoding and handing over the response took.
   */
  pushed(typeUrl: string, bytes: number, sinceMs: number | undefined, tookMs: number): void;
  rejected(typeUrl: string): void;
  /** Counts an ACK or NACK of an older response than the last one. */
  expired(typeUrl: string): void;
  /** Counts a stream of a proxy that claims this version, until the result is disposed of. */
  connected(version: string): Disposable;
}

const convergenceBounds = [0.01, 0.05, 0.1, 0.5, 1, 3, 5, 10, 20, 30];
const queueBounds = [0.001, 0.01, 0.1, 0.5, 1, 3, 5, 10, 20, 30];
const pushBounds = [0.001, 0.01, 0.1, 0.5, 1, 3, 5, 10, 20, 30];
const sizeBounds = [1, 10_000, 1_000_000, 4_000_000, 10_000_000, 40_000_000];
const msPerSecond = 1000;

interface PushedHandles {
  readonly pushes: Counter;
  readonly sizes: Histogram;
  readonly pushTime: Histogram;
}

/**
 * The name of each known type in metrics. All unknown types share one name, because a client that invents types could
 * use up a metric's label sets.
 */
const namesOfTypes: ReadonlyMap<string, string> = new Map(
  Object.values(typeUrls).map((typeUrl) => [typeUrl, shortTypeName(typeUrl)]),
);
const unknownType = "unknown";
/**
 * The maximum number of versions that are counted separately at a time. A mesh has a few. Clients may invent more, so
 * proxies beyond the limit count as one version.
 */
const maxVersions = 256;
const otherVersions = "other";

/** Counts streams by the version that their proxies claim. A version has a series as long as it has streams. */
function countedByVersion(family: MetricFamily<Gauge>): DiscoveryMetrics["connected"] {
  const streams = new Map<string, number>();
  const count = (label: string, delta: 1 | -1): void => {
    const counted = (streams.get(label) ?? 0) + delta;
    if (counted > 0) {
      streams.set(label, counted);
      family.labels(label).set(counted);
    } else {
      streams.delete(label);
      family.remove(label);
    }
  };
  return (version) => {
    const label = streams.has(version) || streams.size < maxVersions ? version : otherVersions;
    count(label, 1);
    return { [Symbol.dispose]: () => count(label, -1) };
  };
}

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
    handles.set(type, made);
    return made;
  };
  const [converged, waited] = [convergence.labels(), queued.labels()];
  const typeOf = (typeUrl: string): string => namesOfTypes.get(typeUrl) ?? unknownType;
  return {
    pushed: (typeUrl, bytes, sinceMs, tookMs) => {
      const handles = handlesOf(typeOf(typeUrl));
      handles.pushes.increment();
      handles.sizes.observe(bytes);
      handles.pushTime.observe(tookMs / msPerSecond);
      if (sinceMs === undefined) return;
      converged.observe(sinceMs / msPerSecond);
      waited.observe(Math.max(0, sinceMs - tookMs) / msPerSecond);
    },
    rejected: (typeUrl) => {
      const type = typeOf(typeUrl);
      rejects.labels(type).increment();
      ownField(perType, type)?.increment();
    },
    expired: (typeUrl) => expired.labels(typeOf(typeUrl)).increment(),
    connected: countedByVersion(connected),
  };
}
