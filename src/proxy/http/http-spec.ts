import type { AccessLogSpec } from "../record/access-log-spec.ts";
import type { CaptureIndex } from "../record/capture-index.ts";
import type { StatsRules } from "../record/stats-rules.ts";
import type { RouteTable } from "../routing/route-table.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";

export interface HttpSpec {
  readonly connection: HttpConnectionConfig;
  readonly routes:
    | { readonly kind: "rds"; readonly name: string }
    | { readonly kind: "inline"; readonly table: RouteTable };
  readonly accessLogs: readonly AccessLogSpec[];
  readonly stats: StatsRules | undefined;
  readonly capture: CaptureIndex;
}
