import type { MeasuredTraffic } from "./view-input.ts";
import { shareOf, sumTraffic, type TrafficEdge, type TrafficSum } from "./traffic.ts";
import { quantileMs } from "./duration-counts.ts";

/** The edges by their ends. Computed once for each measurement. */
export interface TrafficIndex {
  /** By workload, as `namespace/name`. */
  readonly inbound: ReadonlyMap<string, readonly TrafficEdge[]>;
  readonly outbound: ReadonlyMap<string, readonly TrafficEdge[]>;
  /** By service, as `namespace/name`. */
  readonly ofService: ReadonlyMap<string, readonly TrafficEdge[]>;
}

const indexes = new WeakMap<readonly TrafficEdge[], TrafficIndex>();

export function trafficIndex({ edges }: MeasuredTraffic): TrafficIndex {
  let index = indexes.get(edges);
  if (index === undefined) {
    index = {
      inbound: Map.groupBy(edges, ({ destination }) => `${destination.namespace}/${destination.workload}`),
      outbound: Map.groupBy(edges, ({ source }) => `${source.namespace}/${source.workload}`),
      ofService: Map.groupBy(edges, ({ service }) => `${service.namespace}/${service.name}`),
    };
    indexes.set(edges, index);
  }
  return index;
}

export interface Rates {
  readonly requestRate: number;
  readonly errorShare: number;
  readonly p99Ms?: number;
  readonly sum: TrafficSum;
}

/** The rates of requests. TCP traffic has none. */
export function ratesOf(edges: readonly TrafficEdge[] = []): Rates {
  const sum = sumTraffic(edges);
  const p99Ms = quantileMs(sum.durations, 0.99);
  return {
    requestRate: sum.requestRate,
    errorShare: shareOf(sum.failureRate, sum.requestRate),
    ...(p99Ms === undefined ? {} : { p99Ms }),
    sum,
  };
}
