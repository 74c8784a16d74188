import { cidrOf, stringOf } from "../../../base/index.ts";
import { isCidr } from "../crd/formats.ts";
import { arrayOf, objectOf, withPaths, type JsonObject } from "../json.ts";
import { validateLabelSelector } from "../metadata.ts";
import type { Check } from "./check.ts";
import { validatePortOrName } from "./ports.ts";

export function networkPolicy(object: JsonObject, _old: JsonObject | undefined, check: Check): void {
  const spec = objectOf(object.spec);
  check.add(...validateLabelSelector(spec.podSelector, "spec.podSelector"));
  const types = arrayOf(spec.policyTypes);
  if (types.length > 2) check.invalid("spec.policyTypes", types, "may not specify more than two policyTypes");
  else for (const [at, type] of withPaths(types, "spec.policyTypes")) check.oneOf(at, type, ["Ingress", "Egress"]);
  for (const [direction, peers] of [
    ["ingress", "from"],
    ["egress", "to"],
  ] as const) {
    for (const [at, raw] of withPaths(arrayOf(spec[direction]), `spec.${direction}`)) {
      const rule = objectOf(raw);
      for (const [place, port] of withPaths(arrayOf(rule.ports), `${at}.ports`))
        policyPort(objectOf(port), place, check);
      for (const [place, peer] of withPaths(arrayOf(rule[peers]), `${at}.${peers}`))
        policyPeer(objectOf(peer), place, check);
    }
  }
}

function policyPort({ protocol, port, endPort }: JsonObject, at: string, check: Check): void {
  check.oneOf(`${at}.protocol`, protocol, ["TCP", "UDP", "SCTP"]);
  if (port !== undefined) validatePortOrName(port, `${at}.port`, check);
  if (endPort === undefined) return;
  if (port === undefined) check.invalid(`${at}.endPort`, endPort, "may not be specified when `port` is not specified");
  else if (typeof port === "string")
    check.invalid(`${at}.endPort`, endPort, "may not be specified when `port` is non-numeric");
  else {
    check.port(`${at}.endPort`, endPort);
    if (typeof port === "number" && typeof endPort === "number" && endPort < port)
      check.invalid(`${at}.endPort`, port, "must be greater than or equal to `port`");
  }
}

function policyPeer({ podSelector, namespaceSelector, ipBlock }: JsonObject, at: string, check: Check): void {
  if (podSelector === undefined && namespaceSelector === undefined && ipBlock === undefined) {
    check.required(at, "must specify a peer");
    return;
  }
  check.add(...validateLabelSelector(podSelector, `${at}.podSelector`));
  check.add(...validateLabelSelector(namespaceSelector, `${at}.namespaceSelector`));
  if (ipBlock === undefined) return;
  if (podSelector !== undefined || namespaceSelector !== undefined)
    check.forbidden(at, "may not specify both ipBlock and another peer");
  const { cidr, except } = objectOf(ipBlock);
  const block = cidrOf(stringOf(cidr));
  if (stringOf(cidr) === "") check.required(`${at}.ipBlock.cidr`);
  else if (block === undefined || !isCidr(stringOf(cidr))) check.invalid(`${at}.ipBlock.cidr`, cidr, cidrProblem);
  for (const [path, raw] of withPaths(arrayOf(except), `${at}.ipBlock.except`)) {
    const inner = cidrOf(stringOf(raw));
    if (inner === undefined || !isCidr(stringOf(raw))) check.invalid(path, raw, cidrProblem);
    else if (block !== undefined && !isStrictlyWithin(inner, block))
      check.invalid(path, raw, "must be a strict subset of `cidr`");
  }
}

const cidrProblem = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

type Cidr = NonNullable<ReturnType<typeof cidrOf>>;

function isStrictlyWithin(inner: Cidr, outer: Cidr): boolean {
  if (inner.address.length !== outer.address.length || inner.length <= outer.length) return false;
  const bits = ({ address }: Cidr): string => [...address].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return bits(inner).slice(0, outer.length) === bits(outer).slice(0, outer.length);
}
