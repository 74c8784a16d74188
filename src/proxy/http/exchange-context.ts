import type { Clock, Random } from "../../base/index.ts";
import type { RouteTable } from "../routing/route-table.ts";
import type { Cluster } from "../upstream/cluster.ts";
import type { ExchangeObserver } from "./exchange-record.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";
import type { HttpDate } from "./http-date.ts";
import type { OwnMetadata } from "./peer-metadata.ts";

/** What connections of one listener share. What may change by a new configuration is asked for at each request. */
export interface ExchangeContext {
  config(): HttpConnectionConfig;
  /** Undefined while the table has not come. */
  routeTable(): RouteTable | undefined;
  cluster(name: string): Cluster | undefined;
  /** Answers carry `connection: close`. */
  readonly draining: boolean;
  /** Undefined where peers are not told who we are. */
  readonly ownMetadata: OwnMetadata | undefined;
  /** Told what went wrong inside of the proxy. */
  readonly onTrouble: ((what: string, error: unknown) => void) | undefined;
  readonly observe: ExchangeObserver;
  /** Told about every second of each stream of gRPC that goes on over HTTP/2. */
  readonly observeStream: ExchangeObserver | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly date: HttpDate;
  readonly newRequestId: () => string;
}
