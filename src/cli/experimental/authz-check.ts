import { userError } from "../../base/index.ts";
import { ConfigDump, jsonNames } from "../../proxy-dump/index.ts";
import type { CliContext } from "../context.ts";
import { askAdmin, findProxyPod, parseAdminJson, type AdminFlags } from "../proxies/proxy-admin.ts";
import { renderTable } from "../terminal/table.ts";

export interface AuthzFlags extends AdminFlags {
  readonly file?: string;
}

interface Rbac {
  readonly action?: string;
  readonly policies?: Readonly<Record<string, unknown>>;
}

interface RbacConfig {
  readonly rules?: Rbac;
  readonly shadowRules?: Rbac;
}

export async function checkAuthorization(
  name: string | undefined,
  flags: AuthzFlags,
  context: CliContext,
): Promise<void> {
  if ((name === undefined) === (flags.file === undefined))
    throw userError("argument-missing", "check requires only <pod-name>[.<pod-namespace>] or the file flag", {
      hint: `${context.programName} experimental authz check deployment/web -n shop`,
    });
  context.out(authorizationTable(await readListeners(name, flags, context)));
}

async function readListeners(name: string | undefined, flags: AuthzFlags, context: CliContext): Promise<ConfigDump> {
  const path = "/config_dump?mask=dynamic_listeners,static_listeners";
  const text =
    name === undefined
      ? await context.readFile(flags.file ?? "")
      : await askAdmin(
          await findProxyPod(await context.connect(flags), name, flags, context),
          "GET",
          path,
          flags,
          context,
        );
  const where = flags.file ?? `the answer of ${name ?? ""}`;
  return new ConfigDump(jsonNames(parseAdminJson(text, where)), where);
}

export interface AppliedPolicy {
  readonly action: string;
  /** `name.namespace`, or `_anonymous_match_nothing_` for policies whose rules match no request. */
  readonly name: string;
  readonly rules: number;
}

const actions = ["DENY", "ALLOW", "LOG", "CUSTOM"];
export const matchNothing = "_anonymous_match_nothing_";

export function authorizationTable(dump: ConfigDump): string {
  const rows = appliedPolicies(dump).map(({ action, name, rules }) => [action, name, String(rules)]);
  return renderTable(["ACTION", "AuthorizationPolicy", "RULES"], rows, 3);
}

/** The authorization policies in a dump, sorted by action in the order of evaluation, then by name. */
export function appliedPolicies(dump: ConfigDump): readonly AppliedPolicy[] {
  const found = new Map<string, { readonly action: string; readonly name: string; readonly rules: Set<string> }>();
  const add = (action: string, policy: string): void => {
    const [, namespace = "", name = "", rule = "0"] = /ns\[(.+)\]-policy\[(.+)\]-rule\[(.+)\]$/.exec(policy) ?? [];
    const shown = policy === matchNothing || name === "" ? policy : `${name}.${namespace}`;
    const entry = found.get(`${action} ${shown}`) ?? { action, name: shown, rules: new Set<string>() };
    found.set(`${action} ${shown}`, entry);
    entry.rules.add(rule);
  };
  for (const { rules, shadowRules } of rbacConfigs(dump)) {
    const action = rules?.action ?? "ALLOW";
    const names = Object.keys(rules?.policies ?? {});
    for (const name of names) add(action, name);
    if (rules !== undefined && names.length === 0) add(action, matchNothing);
    for (const name of Object.keys(shadowRules?.policies ?? {}))
      if (name.startsWith("istio-ext-authz-")) add("CUSTOM", name);
  }
  return [...found.values()]
    .map(({ action, name, rules }) => ({ action, name, rules: rules.size }))
    .toSorted((a, b) => actions.indexOf(a.action) - actions.indexOf(b.action) || (a.name < b.name ? -1 : 1));
}

function rbacConfigs(dump: ConfigDump): readonly RbacConfig[] {
  const chains = dump
    .listeners()
    .flatMap(({ filterChains = [], defaultFilterChain }) =>
      defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain],
    );
  return chains.flatMap(({ filters = [] }) =>
    filters.flatMap(({ name, typedConfig = {} }) => {
      if (name === "envoy.filters.network.rbac") return [typedConfig];
      if (name !== "envoy.filters.network.http_connection_manager") return [];
      const { httpFilters = [] } = typedConfig as {
        readonly httpFilters?: readonly { readonly name?: string; readonly typedConfig?: RbacConfig }[];
      };
      return httpFilters
        .filter((filter) => filter.name === "envoy.filters.http.rbac")
        .map((filter) => filter.typedConfig ?? {});
    }),
  );
}
