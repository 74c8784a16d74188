import { stringOf } from "../../../base/index.ts";
import { fieldErrors } from "../field-error.ts";
import { arrayOf, childPath, objectOf, type JsonObject } from "../json.ts";
import type { Check } from "./check.ts";

const protocols = ["SCTP", "TCP", "UDP"];
const nameMaxLength = 15;

/** A port's name (IANA_SVC_NAME). */
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
  if (typeof port === "string") for (const problem of portNameProblems(port)) check.invalid(at, port, problem);
  else check.port(at, port);
}

export function validateContainerPorts(ports: readonly unknown[], path: string, check: Check): void {
  const names = new Set<string>();
  for (const [index, raw] of ports.entries()) {
    const at = childPath(path, index);
    const port = objectOf(raw);
    const name = stringOf(port.name);
    if (name !== "") {
      for (const problem of portNameProblems(name)) check.invalid(`${at}.name`, name, problem);
      if (names.has(name)) check.add(fieldErrors.duplicate(`${at}.name`, name));
      names.add(name);
    }
    if (port.containerPort === undefined || port.containerPort === 0) check.required(`${at}.containerPort`);
    else check.port(`${at}.containerPort`, port.containerPort);
    if (hostPortOf(port) !== 0) check.port(`${at}.hostPort`, port.hostPort);
    if (stringOf(port.protocol) === "") check.required(`${at}.protocol`);
    else check.oneOf(`${at}.protocol`, port.protocol, protocols);
  }
}

function hostPortOf({ hostPort }: JsonObject): unknown {
  return hostPort ?? 0;
}

/** Refuses a port of the node that two of these containers want. */
export function validateHostPorts(containers: readonly unknown[], path: string, check: Check): void {
  const taken = new Set<string>();
  for (const [index, container] of containers.entries()) {
    for (const [position, raw] of arrayOf(objectOf(container).ports).entries()) {
      const port = objectOf(raw);
      if (hostPortOf(port) === 0) continue;
      const place = `${stringOf(port.protocol)}/${stringOf(port.hostIP)}/${String(port.hostPort)}`;
      if (taken.has(place))
        check.add(fieldErrors.duplicate(`${childPath(`${childPath(path, index)}.ports`, position)}.hostPort`, place));
      taken.add(place);
    }
  }
}

/** On the node's network, a container's port is the node's. */
export function validateHostNetworkPorts(spec: JsonObject, path: string, check: Check, isPod: boolean): void {
  if (spec.hostNetwork !== true) return;
  for (const [index, container] of arrayOf(spec.containers).entries()) {
    for (const [position, raw] of arrayOf(objectOf(container).ports).entries()) {
      const port = objectOf(raw);
      const hostPort = hostPortOf(port);
      if ((isPod || hostPort !== 0) && hostPort !== port.containerPort)
        check.invalid(
          `${childPath(`${childPath(`${path}.containers`, index)}.ports`, position)}.hostPort`,
          hostPort,
          "must match `containerPort` when `hostNetwork` is true",
        );
    }
  }
}
