import {
  RBAC_Action,
  type HeaderMatcher,
  type MetadataMatcher,
  type Permission,
  type Principal,
  type RBAC,
  type StringMatcher,
} from "../../wire/envoy/index.ts";

export interface PolicyRequest {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly port: number;
  /** The client's SPIFFE id. Undefined without mutual TLS. */
  readonly peer?: string;
  readonly address: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly claims?: Readonly<Record<string, string | readonly string[]>>;
}

/** Whether the rules of all filters admit a request. Supports only the rules that policies produce. */
export function rbacAllows(filters: readonly (RBAC | undefined)[], request: PolicyRequest): boolean {
  for (const rules of filters) {
    if (rules === undefined || rules.action === RBAC_Action.LOG) continue;
    const matched = Object.values(rules.policies).some(
      ({ permissions, principals }) =>
        permissions.some((rule) => permits(rule, request)) && principals.some((id) => identifies(id, request)),
    );
    if (matched !== (rules.action === RBAC_Action.ALLOW)) return false;
  }
  return true;
}

function permits({ rule }: Permission, request: PolicyRequest): boolean {
  switch (rule.case) {
    case "any":
      return true;
    case "andRules":
      return rule.value.rules.every((inner) => permits(inner, request));
    case "orRules":
      return rule.value.rules.some((inner) => permits(inner, request));
    case "notRule":
      return !permits(rule.value, request);
    case "destinationPort":
      return rule.value === request.port;
    case "header":
      return headerHolds(rule.value, request);
    case "urlPath":
      return rule.value.rule.case === "path" && textHolds(rule.value.rule.value, request.path);
    default:
      throw new Error(`the permission ${rule.case ?? ""} is not evaluated here`);
  }
}

function identifies({ identifier }: Principal, request: PolicyRequest): boolean {
  switch (identifier.case) {
    case "any":
      return true;
    case "andIds":
      return identifier.value.ids.every((inner) => identifies(inner, request));
    case "orIds":
      return identifier.value.ids.some((inner) => identifies(inner, request));
    case "notId":
      return !identifies(identifier.value, request);
    case "authenticated":
      return (
        request.peer !== undefined &&
        identifier.value.principalName !== undefined &&
        textHolds(identifier.value.principalName, request.peer)
      );
    case "directRemoteIp":
    case "remoteIp":
      return inRange(identifier.value.addressPrefix, identifier.value.prefixLen ?? 0, request.address);
    case "header":
      return headerHolds(identifier.value, request);
    case "metadata":
      return metadataHolds(identifier.value, request);
    default:
      throw new Error(`the principal ${identifier.case ?? ""} is not evaluated here`);
  }
}

function headerHolds({ name, headerMatchSpecifier: wanted }: HeaderMatcher, request: PolicyRequest): boolean {
  const values: Readonly<Record<string, string>> = {
    ":method": request.method,
    ":authority": request.host,
    ...request.headers,
  };
  const text = values[name.toLowerCase()];
  if (text === undefined) return false;
  return wanted.case === "presentMatch" || (wanted.case === "stringMatch" && textHolds(wanted.value, text));
}

function textHolds({ matchPattern, ignoreCase }: StringMatcher, given: string): boolean {
  const fold = (text: string): string => (ignoreCase ? text.toLowerCase() : text);
  const text = fold(given);
  switch (matchPattern.case) {
    case "safeRegex":
      return new RegExp(`^(?:${matchPattern.value.regex})$`).test(given);
    case "prefix":
      return text.startsWith(fold(matchPattern.value));
    case "suffix":
      return text.endsWith(fold(matchPattern.value));
    default:
      return matchPattern.case === "exact" && text === fold(matchPattern.value);
  }
}

type ValueMatcher = NonNullable<MetadataMatcher["value"]>;

function metadataHolds({ path, value }: MetadataMatcher, request: PolicyRequest): boolean {
  const segment = path[1]?.segment;
  const claim = segment?.case === "key" ? request.claims?.[segment.value] : undefined;
  return claim !== undefined && value !== undefined && valueHolds(value, claim);
}

function valueHolds({ matchPattern }: ValueMatcher, value: string | readonly string[]): boolean {
  switch (matchPattern.case) {
    case "stringMatch":
      return typeof value === "string" && textHolds(matchPattern.value, value);
    case "listMatch": {
      const element = matchPattern.value.matchPattern;
      return (
        typeof value !== "string" && element.case === "oneOf" && value.some((entry) => valueHolds(element.value, entry))
      );
    }
    case "orMatch":
      return matchPattern.value.valueMatchers.some((inner) => valueHolds(inner, value));
    default:
      return false;
  }
}

function inRange(network: string, length: number, address: string): boolean {
  const number = (text: string): number => text.split(".").reduce((total, part) => total * 256 + Number(part), 0);
  const size = 2 ** (32 - length);
  return Math.floor(number(network) / size) === Math.floor(number(address) / size);
}
