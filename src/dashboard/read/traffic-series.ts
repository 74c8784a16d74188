import { userError, type Clock } from "../../base/index.ts";
import type { SeriesAnswer, SeriesMeasure, SeriesRequest } from "../../api/dashboard/index.ts";
import type { Measurements } from "../server/measurements.ts";
import type { ViewReader } from "../server/view-source.ts";
import {
  combineTraffic,
  isOfProbes,
  isVisible,
  parseBackend,
  quantileMs,
  sumTraffic,
  workloadsOf,
  type Inventory,
  type TrafficEdge,
} from "../views/index.ts";
import type { TrafficSource } from "./traffic-source.ts";

/** The shortest window for rates. Over a shorter one, rates jump with each scrape. */
const leastWindowMs = 10_000;

export interface TrafficSeriesOptions {
  readonly traffic: TrafficSource;
  readonly clock: Clock;
  readonly inventory: () => Inventory;
}

export class TrafficSeries implements Measurements {
  readonly #options: TrafficSeriesOptions;

  constructor(options: TrafficSeriesOptions) {
    this.#options = options;
  }

  async series(request: SeriesRequest, reader: ViewReader, signal?: AbortSignal): Promise<SeriesAnswer> {
    const { clock, traffic } = this.#options;
    const toMs = request.toMs === 0 ? clock.nowMs() : request.toMs;
    const stepMs = (toMs - request.fromMs) / (request.points - 1);
    const timesMs = Array.from({ length: request.points }, (_, index) => Math.round(request.fromMs + index * stepMs));
    const windowMs = Math.max(leastWindowMs, stepMs);
    const subject = this.#subject(request, reader);
    const { measure } = request;
    if (measure === "cpuSeconds" || measure === "memoryBytes") {
      const { workloads } = this.#options.inventory();
      const subjects = subject.workloads.map((key) => ({
        workload: key,
        namespace: key.slice(0, key.indexOf("/")),
        pods: (workloads.get(key)?.pods ?? []).map(({ metadata: { name = "" } }) => name),
      }));
      return {
        timesMs,
        values: await traffic.processes({
          subjects,
          of: measure,
          firstMs: request.fromMs,
          stepMs,
          points: request.points,
          windowMs,
        }),
      };
    }
    const steps = {
      firstMs: request.fromMs,
      stepMs,
      points: request.points,
      windowMs,
      of: quantiles[measure] !== undefined ? "durations" : measure === "byteRate" ? "bytes" : "requests",
    } as const;
    const values = await traffic.steps(
      steps,
      (counted) => valueOf(measure, combineTraffic(counted).filter(subject.concerns)),
      signal,
    );
    return { timesMs, values: values.map((value) => value ?? null) };
  }

  /** What a request is about: the workloads, and a function that selects their edges. */
  #subject(
    { namespace, workload, service, backend }: SeriesRequest,
    reader: ViewReader,
  ): { readonly workloads: readonly string[]; readonly concerns: (edge: TrafficEdge) => boolean } {
    const inventory = this.#options.inventory();
    const check = (name: string): void => {
      if (!isVisible(reader.namespaces, name)) throw userError("forbidden", `you may not see namespace ${name}`);
    };
    if (backend !== "") {
      const side = parseBackend(backend);
      if (side === undefined) throw userError("not-found", `there is no backend "${backend}"`);
      check(side.namespace);
      const keys = workloadsOf(side, inventory);
      const known = new Set(keys);
      const isService = side.service !== undefined && side.labels === undefined;
      return {
        workloads: keys,
        concerns: (edge) =>
          known.has(`${edge.destination.namespace}/${edge.destination.workload}`) ||
          (isService && edge.service.name === side.service && edge.service.namespace === side.namespace),
      };
    }
    if (workload !== "") {
      check(namespace);
      const key = `${namespace}/${workload}`;
      const isGateway = inventory.workloads.get(key)?.role === "gateway";
      return {
        workloads: [key],
        concerns: ({ source, destination }) =>
          (isGateway
            ? `${source.namespace}/${source.workload}`
            : `${destination.namespace}/${destination.workload}`) === key,
      };
    }
    if (service !== "") {
      check(namespace);
      return {
        workloads: (inventory.services.get(`${namespace}/${service}`)?.workloads ?? []).map(({ key }) => key),
        concerns: (edge) => edge.service.name === service && edge.service.namespace === namespace,
      };
    }
    if (namespace !== "") check(namespace);
    const isSeen = (name: string): boolean =>
      (namespace === "" || name === namespace) && isVisible(reader.namespaces, name);
    return {
      workloads: [...inventory.workloads.values()]
        .filter((workload) => isSeen(workload.namespace))
        .map(({ key }) => key),
      concerns: (edge) => {
        const { destination, service } = edge;
        const of = destination.namespace === "unknown" ? service.namespace : destination.namespace;
        return isSeen(of) && (namespace !== "" || !isOfProbes(edge));
      },
    };
  }
}

const quantiles: Partial<Record<SeriesMeasure, number>> = { p50Ms: 0.5, p90Ms: 0.9, p99Ms: 0.99 };

function valueOf(measure: SeriesMeasure, edges: readonly TrafficEdge[]): number | null {
  const { requestRate, failureRate, byteRate, durations } = sumTraffic(edges);
  const quantile = quantiles[measure];
  if (quantile !== undefined) return quantileMs(durations, quantile) ?? null;
  if (measure === "byteRate") return byteRate;
  if (measure === "requestRate") return requestRate;
  return requestRate > 0 ? failureRate / requestRate : null;
}
