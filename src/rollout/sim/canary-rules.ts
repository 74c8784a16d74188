import type { Tree } from "../../base/index.ts";
import { matchedHeader } from "./canary-spec.ts";

/** A request or a connection of the model. `matched`: it has the header that steps with a match send to the canary. */
export interface SimRequest {
  readonly port: number;
  readonly protocol: "http" | "tcp" | "tls";
  readonly matched: boolean;
  readonly path?: string;
}

export interface Backend {
  readonly host: string;
  readonly namespace?: string;
  readonly subset?: string;
}

export function chosenRule(kind: string, fields: ReadonlyMap<string, unknown>, request: SimRequest): Tree | undefined {
  if (kind === "VirtualService") {
    const list = (fields.get(`/spec/${request.protocol}`) ?? []) as readonly Tree[];
    return list.find(({ match }) => matchesOf(match).some((candidate) => isMatch(candidate, request)));
  }
  const [parent] = (fields.get("/spec/parentRefs") ?? []) as readonly { readonly port?: number }[];
  if (request.protocol !== "http" || (parent?.port ?? request.port) !== request.port) return undefined;
  const rules = (fields.get("/spec/rules") ?? []) as readonly Tree[];
  return rules.find(({ matches }) => matchesOf(matches).some((candidate) => isGatewayMatch(candidate, request)));
}

function matchesOf(matches: unknown): readonly Tree[] {
  return Array.isArray(matches) && matches.length > 0 ? (matches as Tree[]) : [{}];
}

/** Cookies and queries are ignored, because the requests of the model have none. */
function isMatch({ port, uri, headers = {} }: Tree, request: SimRequest): boolean {
  if (port !== undefined && port !== request.port) return false;
  const { prefix = "/" } = (uri ?? {}) as { prefix?: string };
  const wanted = Object.entries(headers as Readonly<Record<string, { exact?: string }>>);
  return isBelow(prefix, request) && wanted.every(([name, { exact }]) => isHeader(name, exact, request));
}

function isGatewayMatch({ path, headers = [] }: Tree, request: SimRequest): boolean {
  const { value = "/" } = (path ?? {}) as { value?: string };
  const wanted = headers as readonly { readonly name: string; readonly value: string }[];
  return isBelow(value, request) && wanted.every((header) => isHeader(header.name, header.value, request));
}

function isBelow(prefix: string, { path = "/" }: SimRequest): boolean {
  return path.startsWith(prefix);
}

function isHeader(name: string, value: string | undefined, { matched }: SimRequest): boolean {
  return matched && name === matchedHeader.name && value === matchedHeader.value;
}

/** The backends of a rule with their weights. Throws if a weight is not a natural number. */
export function weightedBackends(
  kind: string,
  rule: Tree,
): readonly { readonly backend: Backend; readonly weight: number }[] {
  const isIstio = kind === "VirtualService";
  const backends = ((isIstio ? rule["route"] : rule["backendRefs"]) ?? []) as readonly Tree[];
  const hasWeights = backends.some(({ weight }) => typeof weight === "number");
  return backends.map((backend) => {
    // In a VirtualService, a missing weight means 0 if another backend has a weight.
    const missing = isIstio && hasWeights && backends.length > 1 ? 0 : 1;
    const { weight = missing } = backend as { weight?: number };
    if (!Number.isInteger(weight) || weight < 0) throw new Error(`a backend has the weight ${weight}`);
    return { backend: isIstio ? destinationOf(backend) : serviceOf(backend), weight };
  });
}

function destinationOf({ destination }: Tree): Backend {
  const { host = "", subset } = (destination ?? {}) as { host?: string; subset?: string };
  return { host, ...(subset === undefined ? {} : { subset }) };
}

function serviceOf(backend: Tree): Backend {
  const { name = "", namespace } = backend as { name?: string; namespace?: string };
  return { host: name, ...(namespace === undefined ? {} : { namespace }) };
}

/** The rules of a route as a webhook changes them: each weight above 1 is one less. */
export function withOtherWeights(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => withOtherWeights(item));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) =>
      name === "weight" && typeof member === "number" && member > 1
        ? [name, member - 1]
        : [name, withOtherWeights(member)],
    ),
  );
}
