import { describeError, isTree, messageOf, SerinError, type Logger } from "../../base/index.ts";
import { newestVersion, supportedVersions } from "./plugin-versions.ts";

/** The attachment of a pod to the network, as the container runtime requests it. */
export interface PodAttachment {
  /** The id of the sandbox. It changes when a pod's sandbox is recreated. */
  readonly containerId: string;
  /** The path of the pod's network namespace. It is empty if the runtime did not state it. */
  readonly netnsPath: string;
  readonly podName: string;
  readonly podNamespace: string;
  readonly podUid: string;
  /** The pod's addresses, which the earlier plugins of the chain have assigned. */
  readonly addresses: readonly string[];
}

export interface PluginHandler {
  /** Called at each call of the container runtime, before the call is handled. */
  called?(): void;
  /** Handles an ADD. Resolves when the pod may start. If it rejects, the runtime tries again. */
  add(pod: PodAttachment): Promise<void>;
  /** Handles a CHECK. Rejects if the pod's traffic is not captured as it should be. */
  check(pod: PodAttachment): Promise<void>;
  delete(pod: PodAttachment): Promise<void>;
  /** Handles a STATUS. Rejects if no pod can be started now. */
  status(): Promise<void>;
  /** Handles a GC: drops the state of sandboxes that no longer exist. */
  collect(): Promise<void>;
}

export interface PluginAnswer {
  readonly exitCode: number;
  /** The text for standard output. It is empty for commands that print nothing. */
  readonly output: string;
}

/** The error codes of the CNI specification. */
const codes = {
  incompatibleVersion: 1,
  invalidVariables: 4,
  undecodable: 6,
  invalidConfiguration: 7,
  tryAgain: 11,
  unavailable: 50,
  /** The specification reserves codes from 100 on for plugins. */
  refused: 100,
} as const;

class PluginError extends Error {
  readonly code: number;
  readonly details: string;

  constructor(code: number, message: string, details: string) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

type Configuration = Readonly<Record<string, unknown>>;

/** One run of the plugin: its environment variables (`CNI_…`) and its standard input. */
export interface PluginCall {
  readonly variables: ReadonlyMap<string, string>;
  readonly input: string;
}

/**
 * Parses a request of the plugin program. It consists of variables, each with a final zero byte, then one more zero
 * byte, and the input.
 */
export function parsePluginCall(bytes: Buffer): PluginCall {
  const variables = new Map<string, string>();
  let at = 0;
  while (at < bytes.length && bytes[at] !== 0) {
    const found = bytes.indexOf(0, at);
    const end = found === -1 ? bytes.length : found;
    const [name = "", ...value] = bytes.toString("utf8", at, end).split("=");
    variables.set(name, value.join("="));
    at = end + 1;
  }
  return { variables, input: bytes.toString("utf8", at + 1) };
}

/** Handles one run of the plugin. Never rejects: an error becomes an answer with exit code 1. */
export async function answerPluginCall(call: PluginCall, handler: PluginHandler, log: Logger): Promise<PluginAnswer> {
  let version = newestVersion;
  try {
    const command = call.variables.get("CNI_COMMAND") ?? "";
    const configuration = parseConfiguration(call.input);
    const { cniVersion } = configuration;
    if (command === "VERSION") {
      const requestedVersion = typeof cniVersion === "string" ? cniVersion : newestVersion;
      return { exitCode: 0, output: JSON.stringify({ cniVersion: requestedVersion, supportedVersions }) };
    }
    version = checkedVersion(cniVersion);
    return { exitCode: 0, output: await run(command, { ...call, configuration, version }, handler, log) };
  } catch (error) {
    return { exitCode: 1, output: JSON.stringify({ cniVersion: version, ...describe(error) }) };
  }
}

interface CheckedCall extends PluginCall {
  readonly configuration: Configuration;
  readonly version: string;
}

async function run(command: string, call: CheckedCall, handler: PluginHandler, log: Logger): Promise<string> {
  switch (command) {
    case "ADD": {
      const pod = attachmentOf(call, ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]);
      if (pod !== undefined) await handler.add(pod);
      return resultOf(call);
    }
    case "CHECK": {
      if (previousOf(call) === undefined)
        throw new PluginError(codes.invalidConfiguration, "prevResult is missing", "CHECK needs the result of ADD");
      const pod = attachmentOf(call, ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]);
      if (pod !== undefined) await handler.check(pod);
      return "";
    }
    case "DEL": {
      const pod = attachmentOf(call, ["CNI_CONTAINERID", "CNI_IFNAME"]);
      // A DEL must not fail, because the agent must not prevent a pod from terminating. Any remaining state is removed
      // when the pod's object is deleted.
      if (pod !== undefined)
        await handler
          .delete(pod)
          .catch((error: unknown) =>
            log.warn("a pod could not be removed from the agent", { error: messageOf(error) }),
          );
      return "";
    }
    case "STATUS":
      await handler.status().catch((error: unknown) => {
        throw new PluginError(codes.unavailable, messageOf(error), describeError(error));
      });
      return "";
    case "GC":
      await handler.collect();
      return "";
    default:
      throw new PluginError(
        codes.invalidVariables,
        `CNI_COMMAND is "${command}"`,
        "expected ADD, CHECK, DEL, STATUS, GC or VERSION",
      );
  }
}

function parseConfiguration(input: string): Configuration {
  let raw: unknown;
  try {
    raw = JSON.parse(input);
  } catch (error) {
    throw new PluginError(
      codes.undecodable,
      "the network configuration on standard input is not valid JSON",
      messageOf(error),
    );
  }
  if (!isTree(raw))
    throw new PluginError(codes.undecodable, "the network configuration must be an object", "got another JSON value");
  return raw;
}

function checkedVersion(version: unknown): string {
  if (typeof version === "string" && supportedVersions.includes(version)) return version;
  throw new PluginError(
    codes.incompatibleVersion,
    `cniVersion ${JSON.stringify(version)} is not supported`,
    `supported versions: ${supportedVersions.join(", ")}`,
  );
}

/** Returns the pod to attach, or undefined for a container outside Kubernetes, which this plugin ignores. */
function attachmentOf(call: CheckedCall, required: readonly string[]): PodAttachment | undefined {
  const missing = required.filter((name) => (call.variables.get(name) ?? "") === "");
  if (missing.length > 0)
    throw new PluginError(
      codes.invalidVariables,
      `${missing.join(", ")} must be set`,
      "the container runtime sets them",
    );
  const named = new Map(
    (call.variables.get("CNI_ARGS") ?? "").split(";").map((pair) => {
      const [name = "", value = ""] = pair.split("=");
      return [name, value] as const;
    }),
  );
  const [podName = "", podNamespace = ""] = [named.get("K8S_POD_NAME"), named.get("K8S_POD_NAMESPACE")];
  if (podName === "" || podNamespace === "") return undefined;
  return {
    containerId: call.variables.get("CNI_CONTAINERID") ?? "",
    netnsPath: call.variables.get("CNI_NETNS") ?? "",
    podName,
    podNamespace,
    podUid: named.get("K8S_POD_UID") ?? "",
    addresses: addressesOf(previousOf(call)),
  };
}

function previousOf({ configuration }: CheckedCall): Configuration | undefined {
  const previous = configuration["prevResult"];
  if (previous === undefined || previous === null) return undefined;
  if (!isTree(previous))
    throw new PluginError(
      codes.invalidConfiguration,
      "prevResult must be an object",
      "the container runtime passes it",
    );
  return previous;
}

function addressesOf(previous: Configuration | undefined): string[] {
  const ips = previous?.["ips"];
  if (!Array.isArray(ips)) return [];
  return ips.flatMap((entry: unknown) => {
    const address = isTree(entry) ? entry["address"] : undefined;
    const [ip = ""] = typeof address === "string" ? address.split("/") : [];
    return ip === "" ? [] : [ip];
  });
}

/**
 * Returns the result of the previous plugins with the version of the call. Without previous plugins, the result has
 * only the version.
 */
function resultOf(call: CheckedCall): string {
  return JSON.stringify({ ...previousOf(call), cniVersion: call.version });
}

function describe(error: unknown): { readonly code: number; readonly msg: string; readonly details: string } {
  if (error instanceof PluginError) return { code: error.code, msg: error.message, details: error.details };
  const transient = error instanceof SerinError && error.kind === "transient";
  return {
    code: transient ? codes.tryAgain : codes.refused,
    msg: messageOf(error),
    details: describeError(error),
  };
}
