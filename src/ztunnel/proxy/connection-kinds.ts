import type { Counter } from "../../telemetry/index.ts";
import type { Service, Workload } from "../state/model.ts";

export type Reporter = "source" | "destination";

/**
 * The facts that determine the kind of a connection. `sourceIdentity` is present only if mTLS has proved or will prove
 * it.
 */
export interface ConnectionEnds {
  readonly reporter: Reporter;
  readonly source?: Workload | undefined;
  readonly sourceIdentity?: string | undefined;
  readonly destination?: Workload | undefined;
  readonly service?: Service | undefined;
  readonly mutualTls: boolean;
}

export interface KindCounters {
  /** {@link MetricsRegistry.generation} at which the counters were requested. */
  generation: number;
  opened: Counter;
  /** Counts the connections that ended without a failure. It is undefined before the first such end. */
  closed: Counter | undefined;
  received: Counter;
  sent: Counter;
}

/** The properties that connections between the same workloads share, computed once for all of them. */
export interface ConnectionKind extends KindCounters {
  readonly ends: ConnectionEnds;
  /**
   * The access log's fields. `sourceFields` describes the source's workload. `destinationFields` describes the
   * destination's workload and the direction.
   */
  readonly sourceFields: string;
  readonly destinationFields: string;
}

interface KnownKind {
  readonly reporter: Reporter;
  readonly sourceIdentity: string | undefined;
  readonly service: Service | undefined;
  readonly mutualTls: boolean;
  readonly kind: ConnectionKind;
}

/**
 * The maximum number of cached kinds for one pair of workloads. The kinds of a pair differ by reporter, service,
 * identity and mTLS. When a pair has this many kinds, its cache is cleared.
 */
const maxKindsOfPair = 16;
const nobody = {};

/**
 * Caches the connection kinds of live workloads. A changed workload is a new object, so its former kinds are
 * garbage-collected.
 */
export class ConnectionKinds {
  readonly #bySource = new WeakMap<object, WeakMap<object, KnownKind[]>>();
  readonly #create: (ends: ConnectionEnds) => ConnectionKind;

  constructor(create: (ends: ConnectionEnds) => ConnectionKind) {
    this.#create = create;
  }

  of(ends: ConnectionEnds): ConnectionKind {
    const { reporter, sourceIdentity, service, mutualTls, source, destination } = ends;
    const kinds = this.#ofPair(source, destination);
    for (const known of kinds) {
      if (
        known.reporter === reporter &&
        known.service === service &&
        known.mutualTls === mutualTls &&
        known.sourceIdentity === sourceIdentity
      )
        return known.kind;
    }
    if (kinds.length >= maxKindsOfPair) kinds.length = 0;
    const kind = this.#create(ends);
    kinds.push({ reporter, sourceIdentity, service, mutualTls, kind });
    return kind;
  }

  #ofPair(source: Workload | undefined, destination: Workload | undefined): KnownKind[] {
    let byDestination = this.#bySource.get(source ?? nobody);
    if (byDestination === undefined) this.#bySource.set(source ?? nobody, (byDestination = new WeakMap()));
    let kinds = byDestination.get(destination ?? nobody);
    if (kinds === undefined) byDestination.set(destination ?? nobody, (kinds = []));
    return kinds;
  }
}
