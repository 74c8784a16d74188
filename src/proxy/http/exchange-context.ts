import type { Clock, Random } from "../../base/index.ts";
import type { RouteTable } from "../routing/route-table.ts";
import type { Cluster } from "../upstream/cluster.ts";
import type { ExchangeObserver } from "../record/exchange-record.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";
import type { HttpDate } from "./http-date.ts";
import type { OwnMetadataWith } from "../peers/peer-metadata.ts";
import type { NewRequestId } from "../terms/random-id.ts";

/**
 * What all connections of one listener share. Methods return values that a new configuration may change, so they are
 * called for each request.
 */
export interface ExchangeContext {
  config(): HttpConnectionConfig;
  /** The route table in force. Undefined until it has arrived. */
  routeTable(): RouteTable | undefined;
  cluster(name: string): Cluster | undefined;
  /** Whether responses carry `connection: close`, because the listener drains. */
  readonly draining: boolean;
  /** Our workload's metadata for peers. Undefined if the configuration does not send it to peers. */
  readonly ownMetadata: OwnMetadataWith | undefined;
  readonly onTrouble: ((message: string, error: unknown) => void) | undefined;
  readonly observe: ExchangeObserver;
  /** Called about every second for each open gRPC stream over HTTP/2. */
  readonly observeStream: ExchangeObserver | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly date: HttpDate;
  readonly newRequestId: NewRequestId;
}
