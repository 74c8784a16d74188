import { silentLogger, type Logger } from "../../../base/index.ts";
import type { RequestView } from "../../routing/request-view.ts";
import type { ConnectionInfo } from "../../terms/connection-info.ts";
import { responseFlags } from "../../terms/response-flags.ts";
import type { AccessRules, AccessVerdict } from "./access-rules.ts";
import type { FilterCounter, FilterStatistics } from "../../terms/filter-statistics.ts";
import type { FilterRequest, HttpFilter, LocalReply } from "../http-filter.ts";
import type { ConnectionVerdict, NetworkFilter } from "../network-filter.ts";

export class RbacSettings {
  /** The rules to enforce. If undefined, the filter enforces nothing. */
  readonly rules: AccessRules | undefined;
  /** Rules whose decision is reported and not enforced. */
  readonly shadowRules: AccessRules | undefined;
  readonly shadowPrefix: string;
  readonly rulesPrefix: string;

  constructor(options: Pick<RbacSettings, "rules" | "shadowRules" | "shadowPrefix" | "rulesPrefix">) {
    this.rules = options.rules;
    this.shadowRules = options.shadowRules;
    this.shadowPrefix = options.shadowPrefix;
    this.rulesPrefix = options.rulesPrefix;
  }
}

interface Counters {
  readonly allowed: FilterCounter;
  readonly denied: FilterCounter;
  readonly shadowAllowed: FilterCounter;
  readonly shadowDenied: FilterCounter;
}

function countersOf(statistics: FilterStatistics, prefix: string, settings: RbacSettings): Counters {
  return {
    allowed: statistics.counter(`${prefix}rbac.${settings.rulesPrefix}allowed`),
    denied: statistics.counter(`${prefix}rbac.${settings.rulesPrefix}denied`),
    shadowAllowed: statistics.counter(`${prefix}rbac.${settings.shadowPrefix}shadow_allowed`),
    shadowDenied: statistics.counter(`${prefix}rbac.${settings.shadowPrefix}shadow_denied`),
  };
}

export interface RbacReports {
  readonly statistics: FilterStatistics;
  readonly log?: Logger;
}

/** Logs decisions at the level debug, in Envoy's words. Istio's guides tell users to search for these words. */
class DecisionLog {
  readonly #log: Logger;

  constructor(log: Logger = silentLogger) {
    this.#log = log.scoped("rbac");
  }

  tell(
    mode: "enforced" | "shadow",
    { allowed, policy }: AccessVerdict,
    connection: ConnectionInfo,
    request: RequestView | undefined,
  ): void {
    const { level } = this.#log;
    if (level !== "debug" && level !== "trace") return;
    this.#log.debug(`${mode} ${allowed ? "allowed" : "denied"}, matched policy ${policy ?? "none"}`, {
      source: connection.remote.address,
      source_principal: connection.tls?.peerIdentity,
      destination: `${connection.local.address}:${connection.local.port}`,
      ...(request === undefined ? {} : { method: request.method, authority: request.authority, path: request.path }),
    });
  }
}

/** Refuses requests that its rules do not allow, with status 403. */
export class RbacFilter implements HttpFilter {
  readonly name: string;
  readonly idle: boolean;
  readonly #settings: RbacSettings;
  readonly #counters: Counters;
  readonly #decisions: DecisionLog;

  /** `statPrefix` is the connection manager's prefix, with the dot at its end. */
  constructor(name: string, settings: RbacSettings, { statistics, log }: RbacReports, statPrefix: string) {
    this.name = name;
    this.idle = settings.rules === undefined && settings.shadowRules === undefined;
    this.#settings = settings;
    this.#counters = countersOf(statistics, statPrefix, settings);
    this.#decisions = new DecisionLog(log);
  }

  onRequest(request: FilterRequest): LocalReply | undefined {
    const own = request.route?.filterConfigs.get(this.name);
    const settings = own instanceof RbacSettings ? own : this.#settings;
    const { connection } = request;
    const { shadowRules, shadowPrefix } = settings;
    if (shadowRules !== undefined) {
      const verdict = shadowRules.decide(connection, request);
      reportShadow(request.metadata, "envoy.filters.http.rbac", shadowPrefix, verdict, this.#counters);
      this.#decisions.tell("shadow", verdict, connection, request);
    }
    if (settings.rules === undefined) return undefined;
    const verdict = settings.rules.decide(connection, request);
    this.#decisions.tell("enforced", verdict, connection, request);
    if (settings.rules.action === "log") hint(request.metadata, verdict);
    if (verdict.allowed) {
      this.#counters.allowed.increment();
      return undefined;
    }
    this.#counters.denied.increment();
    return {
      status: 403,
      body: "RBAC: access denied",
      headers: [],
      flag: responseFlags.none,
      details: `rbac_access_denied_matched_policy[${verdict.policy ?? "none"}]`,
    };
  }
}

/** Records in the metadata whether a policy with the action `log` matched, for access logs and other readers. */
function hint(metadata: Map<string, unknown>, { policy }: AccessVerdict): void {
  metadata.set("envoy.common", {
    ...(metadata.get("envoy.common") as object | undefined),
    access_log_hint: policy !== undefined,
  });
}

/**
 * Records the decision of shadow rules. The metadata's key is the name of Envoy's filter, whatever this filter's name
 * is, because readers look there.
 */
function reportShadow(
  metadata: Map<string, unknown>,
  name: string,
  prefix: string,
  verdict: AccessVerdict,
  counters: Counters,
): void {
  (verdict.allowed ? counters.shadowAllowed : counters.shadowDenied).increment();
  const fields: Record<string, unknown> = { ...(metadata.get(name) as object | undefined) };
  fields[`${prefix}shadow_engine_result`] = verdict.allowed ? "allowed" : "denied";
  if (verdict.policy !== undefined) fields[`${prefix}shadow_effective_policy_id`] = verdict.policy;
  metadata.set(name, fields);
}

export class NetworkRbacFilter implements NetworkFilter {
  readonly name: string;
  readonly #settings: RbacSettings;
  readonly #counters: Counters;
  readonly #decisions: DecisionLog;

  constructor(name: string, settings: RbacSettings, { statistics, log }: RbacReports, statPrefix: string) {
    this.name = name;
    this.#settings = settings;
    this.#counters = countersOf(statistics, statPrefix, settings);
    this.#decisions = new DecisionLog(log);
  }

  onConnection(info: ConnectionInfo, metadata: Map<string, unknown>): ConnectionVerdict {
    const { rules, shadowRules, shadowPrefix } = this.#settings;
    if (shadowRules !== undefined) {
      const verdict = shadowRules.decide(info, undefined);
      reportShadow(metadata, "envoy.filters.network.rbac", shadowPrefix, verdict, this.#counters);
      this.#decisions.tell("shadow", verdict, info, undefined);
    }
    if (rules === undefined) return "allow";
    const verdict = rules.decide(info, undefined);
    this.#decisions.tell("enforced", verdict, info, undefined);
    if (rules.action === "log") hint(metadata, verdict);
    const { allowed } = verdict;
    (allowed ? this.#counters.allowed : this.#counters.denied).increment();
    return allowed ? "allow" : "deny";
  }
}
