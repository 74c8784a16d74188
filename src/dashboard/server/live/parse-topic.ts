import { graphGroupings, topicNames, type TopicName, type Topics } from "../../../api/dashboard/index.ts";
import { limits } from "../limits.ts";
import { refusal } from "../../problem.ts";

export interface ParsedTopic<Name extends TopicName = TopicName> {
  readonly name: Name;
  readonly parameters: Topics[Name]["parameters"];
}

type Read = (text: string | null) => string | number;

const maxNameLength = 253;
const defaultWindowSeconds = 60;
const maxWindowSeconds = 7_200;

const text: Read = (value) => {
  if ((value ?? "").length > maxNameLength) throw new Error(`at most ${maxNameLength} characters`);
  return value ?? "";
};
const list: Read = (value) => value ?? "";
const name: Read = (value) => {
  if (value === null || value === "") throw new Error("is missing");
  return text(value);
};
const oneOf =
  (values: readonly string[], fallback?: string): Read =>
  (value) => {
    const found = value ?? fallback;
    if (found === undefined || !values.includes(found)) throw new Error(`expected one of ${values.join(", ")}`);
    return found;
  };
const integer =
  (least: number, most: number, fallback: number): Read =>
  (value) => {
    const found = value === null || value === "" ? fallback : Number(value);
    if (!Number.isInteger(found) || found < least || found > most)
      throw new Error(`expected an integer from ${least} to ${most}`);
    return found;
  };

const named: Readonly<Record<string, Read>> = { namespace: text, name };
const parameters: Readonly<Record<TopicName, Readonly<Record<string, Read>>>> = {
  overview: {},
  graph: {
    namespaces: list,
    windowSeconds: integer(5, maxWindowSeconds, defaultWindowSeconds),
    atMs: integer(0, Number.MAX_SAFE_INTEGER, 0),
    by: oneOf(graphGroupings, "versionedApp"),
  },
  ladder: {},
  rollouts: {},
  rollout: { kind: oneOf(["Canary", "MeshUpgrade"]), ...named },
  workloads: { namespaces: list },
  workload: named,
  services: { namespaces: list },
  service: named,
  configs: { namespaces: list },
  config: { apiVersion: name, kind: name, ...named },
};

/**
 * Parses a topic such as `graph?by=workload&…`. Fills in defaults. Throws `invalid` with the name of a wrong parameter.
 */
export function parseTopic(topic: string): ParsedTopic {
  if (topic.length > limits.topicTextLength)
    throw refusal("invalid", `a topic has at most ${limits.topicTextLength} characters`);
  const at = topic.indexOf("?");
  const word = at === -1 ? topic : topic.slice(0, at);
  const found = topicNames.find((candidate) => candidate === word);
  if (found === undefined)
    throw refusal("invalid", `there is no topic "${word}"`, `topics are ${topicNames.join(", ")}`);
  const query = new URLSearchParams(at === -1 ? "" : topic.slice(at + 1));
  const known = parameters[found];
  const unknown = [...query.keys()].find((key) => !Object.hasOwn(known, key));
  if (unknown !== undefined) throw refusal("invalid", `topic ${found} has no parameter "${unknown}"`);
  const read = Object.entries(known).map(([key, readOne]) => {
    try {
      return [key, readOne(query.get(key))] as const;
    } catch (error) {
      throw refusal("invalid", `topic ${found}: ${key}: ${(error as Error).message}`);
    }
  });
  return { name: found, parameters: Object.fromEntries(read) as unknown as Topics[TopicName]["parameters"] };
}
