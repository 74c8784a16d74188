import { stringOf } from "../../../base/index.ts";
import { arrayOf, objectOf, withPaths, type JsonObject } from "../json.ts";
import type { Check } from "./check.ts";

const nameMaxLength = 15;
const protocols = ["SCTP", "TCP", "UDP"];

export function validateProtocol(protocol: unknown, at: string, check: Check): void {
  check.oneOf(at, protocol, protocols);
}

/** The faults of a port's name (IANA_SVC_NAME). */
export function portNameProblems(name: string): string[] {
  const problems: string[] = [];
  if (name.length > nameMaxLength) problems.push(`must be no more than ${nameMaxLength} characters`);
  if (!/^[-a-z0-9]+$/.test(name))
    problems.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  if (!/[a-z]/.test(name)) problems.push("must contain at least one letter (a-z)");
  if (name.includes("--")) problems.push("must not contain consecutive hyphens");
  if (name.startsWith("-") || name.endsWith("-")) problems.push("must not begin or end with a hyphen");
  return problems;
}

export function validatePortOrName(port: unknown, at: string, check: Check): void {
  if (typeof port === "string") check.follows(at, port, portNameProblems);
  else check.port(at, port);
}

export function validateContainerPorts(ports: readonly unknown[], path: string, check: Check): void {
  const names = new Set<string>();
  for (const [at, raw] of withPaths(ports, path)) {
    const port = objectOf(raw);
    const name = stringOf(port.name);
    if (name !== "") {
      check.follows(`${at}.name`, name, portNameProblems);
      check.unique(`${at}.name`, name, names);
    }
    if (port.containerPort === undefined || port.containerPort === 0) check.required(`${at}.containerPort`);
    else check.port(`${at}.containerPort`, port.containerPort);
    if (hostPortOf(port) !== 0) check.port(`${at}.hostPort`, port.hostPort);
    if (stringOf(port.protocol) === "") check.required(`${at}.protocol`);
    else validateProtocol(port.protocol, `${at}.protocol`, check);
  }
}

function hostPortOf({ hostPort }: JsonObject): unknown {
  return hostPort ?? 0;
}

/** Refuses a host port that several ports of these containers request. */
export function validateHostPorts(containers: readonly unknown[], path: string, check: Check): void {
  const taken = new Set<string>();
  for (const [containerPath, container] of withPaths(containers, path)) {
    for (const [at, raw] of withPaths(arrayOf(objectOf(container).ports), `${containerPath}.ports`)) {
      const port = objectOf(raw);
      if (hostPortOf(port) === 0) continue;
      const wanted = `${stringOf(port.protocol)}/${stringOf(port.hostIP)}/${String(port.hostPort)}`;
      check.unique(`${at}.hostPort`, wanted, taken);
    }
  }
}

export function validateHostNetworkPorts(spec: JsonObject, path: string, check: Check, isPod: boolean): void {
  if (spec.hostNetwork !== true) return;
  for (const [containerPath, container] of withPaths(arrayOf(spec.containers), `${path}.containers`)) {
    for (const [at, raw] of withPaths(arrayOf(objectOf(container).ports), `${containerPath}.ports`)) {
      const port = objectOf(raw);
      const hostPort = hostPortOf(port);
      if ((isPod || hostPort !== 0) && hostPort !== port.containerPort)
        check.invalid(`${at}.hostPort`, hostPort, "must match `containerPort` when `hostNetwork` is true");
    }
  }
}
