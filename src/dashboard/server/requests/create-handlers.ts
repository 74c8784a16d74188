import { seriesMeasures } from "../../../api/dashboard/index.ts";
import type { Clock, Environment, Logger } from "../../../base/index.ts";
import type { AuditLog } from "../audit-log.ts";
import { readerOf } from "../access/identity.ts";
import type { Measurements } from "../measurements.ts";
import { refusal } from "../../problem.ts";
import type { RequestHandlers } from "./request-handlers.ts";

export interface HandlersOptions {
  readonly measurements: Measurements;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly log: Logger;
  readonly istioNamespace: string;
  /** The directory of the release whose control plane computes the changes. */
  readonly releaseDirectory: string;
  readonly env: Environment;
  /** Aborted when the server ends, to end all processes that requests have started. */
  readonly ended: AbortSignal;
}

const maxPoints = 1_000;
const defaultPoints = 120;
const defaultRangeMs = 600_000;

/** All requests except those of the session. Rare ones are loaded on first use. */
export function createHandlers(options: HandlersOptions): RequestHandlers {
  const { measurements, audit, clock } = options;
  const lazy = <Handler>(load: () => Promise<Handler>): (() => Promise<Handler>) => {
    let loaded: Promise<Handler> | undefined;
    return async () => await (loaded ??= load());
  };
  const logs = lazy(async () => (await import("./read-logs.ts")).readLogs);
  const proxy = lazy(async () => (await import("./read-proxy.ts")).readProxy(options));
  const yaml = lazy(async () => {
    const { YamlThreads } = await import("./yaml-threads.ts");
    return { users: new YamlThreads({ threads: 2 }), anonymous: new YamlThreads({ threads: 1 }) };
  });
  const validate = lazy(async () =>
    (await import("./validate-yaml.ts")).createValidateYaml({ ...options, yaml: await yaml() }),
  );
  const whatIf = lazy(async () =>
    (await import("./ask-what-if.ts")).askWhatIf({ ...options, validate: await validate(), yaml: await yaml() }),
  );
  const apply = lazy(async () => (await import("./apply-objects.ts")).applyObjects({ ...options, yaml: await yaml() }));
  const action = lazy(async () => (await import("./give-order.ts")).giveOrder(options));
  return {
    "GET /api/series": async (fields, identity, signal) => {
      const toMs = fields.integer("toMs", 0, Number.MAX_SAFE_INTEGER, 0);
      const endMs = toMs === 0 ? clock.nowMs() : toMs;
      const fromMs = fields.integer("fromMs", 0, Number.MAX_SAFE_INTEGER, Math.max(0, endMs - defaultRangeMs));
      if (fromMs >= endMs) throw refusal("invalid", "fromMs: must be before toMs");
      // More points would show nothing more, because proxies are scraped once a second.
      const mostPoints = Math.max(2, Math.floor((endMs - fromMs) / 1000) + 1);
      const request = {
        measure: fields.oneOf("measure", seriesMeasures),
        namespace: fields.text("namespace"),
        workload: fields.text("workload"),
        service: fields.text("service"),
        backend: fields.text("backend"),
        fromMs,
        toMs,
        points: Math.min(mostPoints, fields.integer("points", 2, maxPoints, defaultPoints)),
      };
      return await measurements.series(request, await readerOf(identity, "graph"), signal);
    },
    "GET /api/logs": async (...given) => await (await logs())(...given),
    "GET /api/proxy": async (...given) => await (await proxy())(...given),
    "POST /api/validate": async (...given) =>
      await (await import("./validate-yaml.ts")).validateRequest(await validate())(...given),
    "POST /api/apply": async (...given) => await (await apply())(...given),
    "POST /api/action": async (...given) => await (await action())(...given),
    "POST /api/what-if": async (...given) => await (await whatIf())(...given),
    // Only users who see all namespaces may see what others did.
    "GET /api/audit": async (_fields, identity) => {
      const seesAll = (await identity.namespaces()) === "*" && identity.authentication !== "anonymous";
      return { records: audit.records(({ user }) => seesAll || user === identity.user) };
    },
  };
}
